-- What a row of a run, a step or a task must be, whatever others are. PostgreSQL reads a table's CHECK constraints from their text for each
-- statement that writes to it: as such these were a fifth of what a start, or a hand-over, took. So the tables keep what counting and
-- recording promise, and all else is looked at here.

create function quantumflow._check_rows(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_rows$
begin
  return query
  select 16, r.id, null::text, null::int, null::text, null::bigint, 'the run is ' || r.status || ', and ' || f.flaw, null::text
  from quantumflow.workflow_runs r
  cross join lateral (
    select case
      when r.status not in ('started', 'paused', 'completed', 'failed', 'cancelled') then 'nobody knows this status'
      when (r.status = 'completed') <> (r.completed_at is not null) then 'completed_at does not go with that'
      when (r.status = 'failed') <> (r.failed_at is not null) then 'failed_at does not go with that'
      when (r.status = 'cancelled') <> (r.cancelled_at is not null) then 'cancelled_at does not go with that'
      when r.output is not null and r.status <> 'completed' then 'has an output'
      when least(r.priority, r.retries, r.gave_up, r.depth - 1) < 0 then 'has a negative number'
      when num_nulls(r.parent_run_id, r.parent_step_slug, r.parent_task_index, r.parent_retries, r.root_run_id, r.depth) not in (0, 6)
        then 'names its parent only in part'
      when r.paused_with_parent is not null and r.parent_run_id is null then 'is paused with a parent that it does not have'
    end as flaw
  ) f
  where f.flaw is not null
    and (p_run_id is null or r.id = p_run_id)

  union all

  select 16, s.run_id, s.step_slug::text, null, null, null, 'the step is ' || s.status || ', and ' || f.flaw, null
  from quantumflow.step_states s
  cross join lateral (
    select case
      when s.status not in ('created', 'started', 'completed', 'failed', 'skipped', 'cancelled') then 'nobody knows this status'
      when (s.status = 'completed') <> (s.completed_at is not null) then 'completed_at does not go with that'
      when (s.status = 'failed') <> (s.failed_at is not null) then 'failed_at does not go with that'
      when s.skipped_at is not null and s.status <> 'skipped' then 'skipped_at does not go with that'
      when (s.skipped_at is null) <> (s.skip_reason is null) then 'skip_reason does not go with skipped_at'
      when s.skip_reason not in ('condition', 'dependency') then 'nobody knows its skip_reason'
      when s.status in ('started', 'completed', 'failed') and s.remaining_deps > 0 then 'waits for others'
      when s.status in ('started', 'completed') and s.initial_tasks is null then 'has no number of tasks'
      when s.failed_tasks <= 0 then 'failed_tasks is not null'
      when s.initial_tasks > s.max_iterations then 'has more iterations than its maximum'
    end as flaw
  ) f
  where f.flaw is not null
    and (p_run_id is null or s.run_id = p_run_id)

  union all

  select 16, t.run_id, t.step_slug::text, t.task_index, null, null, 'the task is ' || t.status || ', and ' || f.flaw, null
  from quantumflow.step_tasks t
  cross join lateral (
    select case
      when t.status not in ('queued', 'started', 'completed', 'failed', 'skipped', 'cancelled') then 'nobody knows this status'
      when t.status = 'started' and (t.lease_token is null or t.started_at is null) then 'has no lease'
      when (t.status = 'failed') <> (t.failed_at is not null) then 'failed_at does not go with that'
      when least(t.task_index, t.attempts) < 0 then 'has a negative number'
    end as flaw
  ) f
  where f.flaw is not null
    and (p_run_id is null or t.run_id = p_run_id);
end
$_check_rows$;

comment on function quantumflow._check_rows(uuid) is 'Rule 16 of check_state: rows that contradict themselves.';
