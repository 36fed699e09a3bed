create table quantumflow.audit_log (
  entry_id      uuid not null,
  at            timestamptz not null,
  actor         text not null,
  on_behalf_of  text,
  what          text not null,
  workflow_slug text collate "C",
  run_id        uuid,
  step_slug     text collate "C",
  task_index    int,
  reason        text,
  detail        jsonb,
  constraint audit_log_pkey primary key (entry_id)
);

create index audit_log_at on quantumflow.audit_log (at);

create index audit_log_runs on quantumflow.audit_log (run_id, entry_id)
  where run_id is not null;

comment on table quantumflow.audit_log is
'What people did: one row per call that steered, mended or configured something, written in its transaction and never changed. Nothing of
what workers and callers do. prune forgets it after four times as long as runs.';
comment on column quantumflow.audit_log.entry_id is 'A version 7 uuid: later entries sort later.';
comment on column quantumflow.audit_log.at is 'When.';
comment on column quantumflow.audit_log.actor is 'The role of SET ROLE, else the one that connected.';
comment on column quantumflow.audit_log.on_behalf_of is
'For whom, as the session claims by setting quantumflow.actor: an application''s user, say. Nobody has checked it.';
comment on column quantumflow.audit_log.what is 'The function that was called.';
comment on column quantumflow.audit_log.workflow_slug is 'The workflow, if it was done to one, or to a run of it.';
comment on column quantumflow.audit_log.run_id is 'The run, if it was done to one; it may be gone by now.';
comment on column quantumflow.audit_log.step_slug is 'The step, if it was done to a task.';
comment on column quantumflow.audit_log.task_index is 'The task.';
comment on column quantumflow.audit_log.reason is 'Why, as the caller said.';
comment on column quantumflow.audit_log.detail is
'What was overwritten, or is not to be seen anywhere else: of retry_run how the run had ended, of configure the value before.';

create function quantumflow._record_act(
  p_what          text,
  p_at            timestamptz,
  p_workflow_slug text default null,
  p_run_id        uuid default null,
  p_step_slug     text default null,
  p_task_index    int default null,
  p_reason        text default null,
  p_detail        jsonb default null)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_act$
begin
  insert into quantumflow.audit_log
    (entry_id, at, actor, on_behalf_of, what, workflow_slug, run_id, step_slug, task_index, reason, detail)
  values (
    quantumflow._uuid_v7(), p_at, quantumflow._actor(),
    quantumflow._on_behalf_of(), p_what, p_workflow_slug, p_run_id, p_step_slug, p_task_index,
    quantumflow._cut(p_reason), jsonb_strip_nulls(p_detail)
  );
end
$_record_act$;

comment on function quantumflow._record_act(text, timestamptz, text, uuid, text, int, text, jsonb) is
'Writes down that somebody did something: see audit_log. p_what: the public function.';

create function quantumflow._actor()
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_actor$
begin
  return coalesce(nullif(current_setting('role'), 'none'), session_user);
end
$_actor$;

comment on function quantumflow._actor() is
'Who acts: the role of SET ROLE, else the one that connected, also in a function that runs as its owner.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._on_behalf_of()
returns text
language sql
stable
return left(nullif(current_setting('quantumflow.actor', true), ''), 256);

comment on function quantumflow._on_behalf_of() is
'For whom the session claims to act, by the setting quantumflow.actor; null where it does not say.';
