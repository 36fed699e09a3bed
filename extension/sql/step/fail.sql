create type quantumflow._step_failure as (
  run_id        uuid,
  step_slug     text,
  task_index    int,
  kind          text,
  error_message text
);

comment on type quantumflow._step_failure is
'Why a step has failed, if that was no attempt at a task: 0, or, of a loop, after which iteration (task_index), of which kind.';

create function quantumflow._record_step_failures(p_failures quantumflow._step_failure[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_step_failures$
begin
  insert into quantumflow.task_failures
    (run_id, step_slug, task_index, retries, attempt, kind, ended_at, error_message, reported)
  select r.id, f.step_slug, f.task_index, r.retries, 0, f.kind, p_now, f.error_message, false
  from unnest(p_failures) f
  cross join lateral (
    select l.id, l.retries
    from quantumflow.workflow_runs l
    where l.id = f.run_id
    limit 1
  ) r;
end
$_record_step_failures$;

comment on function quantumflow._record_step_failures(quantumflow._step_failure[], timestamptz) is
'Writes to the history what failed steps and was no attempt: as attempt 0.';

create function quantumflow._fail_steps(p_failed quantumflow._failed_step[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_steps$
declare
  v_failed quantumflow._failed_step[] := array(
    select row(
      k.run_id, k.step_slug, k.workflow_slug, k.version, quantumflow._if_failed(w.goes_on, w.fallback), k.error_message
    )::quantumflow._failed_step
    from unnest(p_failed) k
    cross join lateral (
      select l.goes_on, l.fallback
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
      limit 1
    ) w
    order by k.run_id, k.step_slug);
begin
  perform quantumflow._fail_step(k.run_id, k.step_slug, null, null, k.error_message, p_now)
  from unnest(v_failed) k
  where k.if_failed is null;

  return quantumflow._go_on_without(array(select k from unnest(v_failed) k where k.if_failed is not null), p_now);
end
$_fail_steps$;

comment on function quantumflow._fail_steps(quantumflow._failed_step[], timestamptz) is
'Fails steps for what is no fault of a task, and their runs, unless these go on without them, as the version says; returns the steps without
which they do, to be counted as done. The caller holds the steps and the runs.';

create function quantumflow._fail_step(
  p_run_id        uuid,
  p_step_slug     text,
  p_task_index    int,
  p_known_tasks   int,
  p_error_message text,
  p_now           timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_step$
declare
  v_error text := format(
    'step %s%s: %s',
    p_step_slug,
    case when p_known_tasks is null and p_task_index is not null then format(', task %s', p_task_index) end,
    p_error_message);
begin
  update quantumflow.step_states s
  set
    status = 'failed',
    failed_at = p_now,
    error_message = p_error_message
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
    and s.status = 'started';

  perform quantumflow._fail_run(p_run_id, v_error, p_now);
end
$_fail_step$;

comment on function quantumflow._fail_step(uuid, text, int, int, text, timestamptz) is
'Fails a step because one of its tasks failed for good, and its run. The caller holds both.';
