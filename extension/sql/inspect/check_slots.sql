create function quantumflow._check_slots(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_slots$
begin
  return query
  select
    4, t.run_id, t.step_slug::text, t.task_index, t.queue, t.message_id,
    format('the task is started and has no slot of limit %L for its key %s', w.limit_name, coalesce(nullif(t.limit_key, ''), 'none')), null::text
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    and w.limit_name is not null
  where (p_run_id is null or t.run_id = p_run_id)
    and t.status = 'started'
    and t.limit_key is not null
    and not exists (
      select
      from quantumflow._limit_slots s
      where (s.limit_name, s.limit_key) = (w.limit_name, t.limit_key)
        and (s.run_id, s.step_slug, s.task_index, s.lease_token) = (t.run_id, t.step_slug, t.task_index, t.lease_token)
    );
end
$_check_slots$;

comment on function quantumflow._check_slots(uuid) is 'Rule 4 of check_state: that what is limited has a slot while it is with a worker.';
