create type quantumflow.failed_attempt as (
  run_id        uuid,
  workflow_slug text,
  step_slug     text,
  task_index    int,
  retries       int,
  attempt       int,
  kind          text,
  worker_id     uuid,
  worker        text,
  started_at    timestamptz,
  ended_at      timestamptz,
  error_message text,
  error_details jsonb,
  due_at        timestamptz
);

comment on type quantumflow.failed_attempt is 'An attempt that did not complete, as task_failures has it, with the names that belong to it.';
comment on column quantumflow.failed_attempt.run_id is 'The run.';
comment on column quantumflow.failed_attempt.workflow_slug is 'The workflow.';
comment on column quantumflow.failed_attempt.step_slug is 'The step.';
comment on column quantumflow.failed_attempt.task_index is 'The task.';
comment on column quantumflow.failed_attempt.retries is 'The run''s retries at that time.';
comment on column quantumflow.failed_attempt.attempt is 'The attempt, from 1.';
comment on column quantumflow.failed_attempt.kind is
'timeout: it ended, or its lease did, when its deadline had passed, whoever noticed. Else error: it was reported. lost: its lease ran out.';
comment on column quantumflow.failed_attempt.worker_id is 'Who had claimed it.';
comment on column quantumflow.failed_attempt.worker is 'The name of that worker; null when it is not registered.';
comment on column quantumflow.failed_attempt.started_at is
'When it was claimed; when its handler began, if it was reported and its report says for how long that ran.';
comment on column quantumflow.failed_attempt.ended_at is 'When the failure was reported or noticed.';
comment on column quantumflow.failed_attempt.error_message is 'What was reported.';
comment on column quantumflow.failed_attempt.error_details is 'Whatever the reporter added: exception class, traceback.';
comment on column quantumflow.failed_attempt.due_at is
'From when it could be claimed, so that started_at - due_at is how long it waited; null for attempts of before version 0.4.0.';

create function quantumflow.list_failures(run_id uuid default null, max_failures int default 20)
returns setof quantumflow.failed_attempt
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_failures$
begin
  if list_failures.max_failures is null or list_failures.max_failures not between 1 and 10000 then
    raise exception 'max_failures must be between 1 and 10000'
    using
      errcode = 'QF211',
      detail = format('It is %s.', coalesce(list_failures.max_failures::text, 'null')),
      hint = 'Leave it out for 20. All of them are in quantumflow.task_failures.';
  end if;

  if list_failures.run_id is not null then
    perform quantumflow.run_input(list_failures.run_id);
  end if;

  return query
  select
    f.run_id, r.workflow_slug, f.step_slug, f.task_index, f.retries, f.attempt, f.kind, f.worker_id, w.name,
    f.started_at, f.ended_at, f.error_message, f.error_details, f.due_at
  from (
    select *
    from quantumflow.task_failures k
    where list_failures.run_id is null or k.run_id = list_failures.run_id
    order by k.ended_at desc, k.run_id, k.step_slug, k.task_index, k.attempt desc
    limit list_failures.max_failures
  ) f
  left join quantumflow.workflow_runs r
    on r.id = f.run_id
  left join quantumflow.workers w
    on w.worker_id = f.worker_id
  order by f.ended_at desc, f.run_id, f.step_slug, f.task_index, f.attempt desc;
end
$list_failures$;

comment on function quantumflow.list_failures(uuid, int) is
'The attempts that failed last, of one run or of all, the latest first: what went wrong, where, when, with whom.

max_failures: 1 to 10,000. A run that has failures may well have completed: these are attempts.

Errors: QF201 unknown run; QF211 bad max_failures.';
