create type quantumflow.run_summary as (
  run_id          uuid,
  workflow_slug   text,
  version         int,
  status          text,
  done_steps      int,
  steps           int,
  priority        int,
  retries         int,
  idempotency_key text,
  created_at      timestamptz,
  started_at      timestamptz,
  ended_at        timestamptz,
  error_message   text,
  gave_up         int,
  parent          uuid
);

comment on type quantumflow.run_summary is 'A run in a line, without its input and output.';
comment on column quantumflow.run_summary.run_id is 'The run.';
comment on column quantumflow.run_summary.workflow_slug is 'The workflow.';
comment on column quantumflow.run_summary.version is 'Its version.';
comment on column quantumflow.run_summary.status is 'started, paused, completed, failed or cancelled.';
comment on column quantumflow.run_summary.done_steps is 'Steps that are done.';
comment on column quantumflow.run_summary.steps is 'Steps there are.';
comment on column quantumflow.run_summary.priority is 'Seconds by which it overtakes.';
comment on column quantumflow.run_summary.retries is 'How often it was retried.';
comment on column quantumflow.run_summary.idempotency_key is 'The key it was started with.';
comment on column quantumflow.run_summary.created_at is 'When start_flow was called.';
comment on column quantumflow.run_summary.started_at is 'From when its first steps may run.';
comment on column quantumflow.run_summary.ended_at is 'When it completed, failed or was cancelled.';
comment on column quantumflow.run_summary.error_message is 'Why it failed or was cancelled.';
comment on column quantumflow.run_summary.gave_up is
'How many steps and tasks it went on without; null where no step of its version can be given up.';
comment on column quantumflow.run_summary.parent is 'The run of which a step started it; null: none did.';

create function quantumflow.list_runs(
  workflow_slug text default null,
  status        text default null,
  max_runs      int default 20,
  before        uuid default null,
  gave_up       boolean default null,
  parent        uuid default null,
  with_children boolean default false)
returns setof quantumflow.run_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_runs$
begin
  if list_runs.max_runs is null or list_runs.max_runs not between 1 and 10000 then
    raise exception 'max_runs must be between 1 and 10000'
    using
      errcode = 'QF211',
      detail = format('It is %s.', coalesce(list_runs.max_runs::text, 'null')),
      hint = 'Page with before: the last run_id of one page is where the next begins.';
  end if;

  if list_runs.status not in ('started', 'paused', 'completed', 'failed', 'cancelled') then
    raise exception 'status "%" is not one of a run', list_runs.status
    using
      errcode = 'QF212',
      detail = 'A run is started, paused, completed, failed or cancelled.',
      hint = 'Leave status out for all of them.';
  end if;

  return query
  select
    r.id,
    r.workflow_slug,
    r.version,
    r.status,
    s.steps - r.remaining_steps,
    s.steps,
    r.priority,
    r.retries,
    r.idempotency_key,
    r.created_at,
    r.started_at,
    coalesce(r.completed_at, r.failed_at, r.cancelled_at),
    r.error_message,
    r.gave_up,
    r.parent_run_id
  from quantumflow.workflow_runs r
  cross join lateral (
    select count(*)::int as steps
    from quantumflow.step_states k
    where k.run_id = r.id
  ) s
  where (list_runs.workflow_slug is null or r.workflow_slug = list_runs.workflow_slug)
    and (list_runs.status is null or r.status = list_runs.status)
    and (list_runs.before is null or r.id < list_runs.before)
    and (list_runs.gave_up is null or list_runs.gave_up = (coalesce(r.gave_up, 0) > 0))
    and case
      when list_runs.parent is not null then r.parent_run_id = list_runs.parent
      else coalesce(list_runs.with_children, false) or r.parent_run_id is null
    end
  order by r.id desc
  limit list_runs.max_runs;
end
$list_runs$;

comment on function quantumflow.list_runs(text, text, int, uuid, boolean, uuid, boolean) is
'The latest runs, newest first, of one workflow or status or of all: those that no step of another run has started.

max_runs: 1 to 10,000. before: only runs whose id is lower, for the next page. An unknown workflow has no runs.
gave_up: true for those that went on without a step or a task that had failed, false for the others. parent: the runs that steps of this one
have started, its children. with_children: those of all runs too.

Errors: QF211 bad max_runs; QF212 unknown status.';
