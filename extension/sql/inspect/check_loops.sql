create function quantumflow._check_loops(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_loops$
begin
  return query
  with loops as materialized (
    select s.run_id, s.step_slug, s.status, s.output, s.error_message, w.keep
    from quantumflow.workflow_steps w
    join quantumflow.workflow_runs r
      on (r.workflow_slug, r.version) = (w.workflow_slug, w.version)
    join quantumflow.step_states s
      on (s.run_id, s.step_slug) = (r.id, w.step_slug)
    where w.repeats
      and (p_run_id is null or r.id = p_run_id)
  ),
  iterations as materialized (
    select
      l.*,
      t.task_index,
      t.status as task_status,
      t.output as task_output,
      max(t.task_index) over (partition by l.run_id, l.step_slug) as last_index,
      count(*) filter (where t.status in ('queued', 'started')) over (partition by l.run_id, l.step_slug) as live
    from loops l
    join quantumflow.step_tasks t
      on (t.run_id, t.step_slug) = (l.run_id, l.step_slug)
  ),
  -- The last ones that have ended are kept, after a retry perhaps fewer; before them there may be one that somebody held when it was to go.
  kept as (
    select
      i.run_id, i.step_slug, i.last_index, i.live, min(i.task_index) as first_index, count(*) as tasks,
      count(*) filter (where i.task_status in ('queued', 'started') and i.task_index < i.last_index) as overtaken
    from iterations i
    where i.task_index >= i.last_index - i.keep
    group by i.run_id, i.step_slug, i.last_index, i.live
  )
  select 13, k.run_id, k.step_slug::text, null::int, null::text, null::bigint,
    format('of the iterations %s to %s there are %s', k.first_index, k.last_index, k.tasks), null::text
  from kept k
  where k.tasks <> k.last_index - k.first_index + 1
    or (k.live > 0 and k.tasks = 1 and k.last_index > 0)
  union all
  select 13, k.run_id, k.step_slug, null, null, null, format('%s iterations go on, and one may', k.live), null
  from kept k
  where k.live > 1
    or k.overtaken > 0
  union all
  select 5, i.run_id, i.step_slug, i.task_index, null, null, 'the output of the loop is not its last iteration''s', null
  from iterations i
  where i.status = 'completed'
    and i.error_message is null
    and i.task_index = i.last_index
    and i.output is distinct from i.task_output;
end
$_check_loops$;

comment on function quantumflow._check_loops(uuid) is
'Rule 13 of check_state, and rule 5 of loops: that their iterations follow each other.';
