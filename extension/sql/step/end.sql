create function quantumflow._count_done_tasks(p_steps quantumflow._step_progress[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_done_tasks$
declare
  v_step quantumflow._step_progress;
  v_done quantumflow._step_ref[];
begin
  -- Counters once per call and step, in the order in which the steps were locked.
  with counted as (
    update quantumflow.step_states s
    set
      remaining_tasks = s.remaining_tasks - k.done_tasks,
      status = case when k.ends then 'completed' else s.status end,
      completed_at = case when k.ends then p_now end
    from unnest(p_steps) k
    where k.done_tasks > 0
      and not (k.ends and k.gathers)
      and s.run_id is not distinct from k.run_id
      and s.ctid = k.tid
    returning k.*
  )
  select coalesce(
    array_agg(
      row(c.run_id, c.step_slug, c.workflow_slug, c.version, true, c.dependents, true)::quantumflow._step_ref
    ) filter (where c.ends),
    '{}')
  into v_done
  from counted c;

  -- A loop, because each array is gathered, and may prove too large, by itself.
  for v_step in
    select k.*
    from unnest(p_steps) k
    where k.ends
      and k.gathers
  loop
    if quantumflow._end_map(
      v_step.run_id, v_step.step_slug, v_step.workflow_slug, v_step.version, v_step.done_tasks, p_now)
    then
      v_done := v_done || row(
        v_step.run_id, v_step.step_slug, v_step.workflow_slug, v_step.version, true, v_step.dependents, true
      )::quantumflow._step_ref;
    end if;
  end loop;

  return v_done;
end
$_count_done_tasks$;

comment on function quantumflow._count_done_tasks(quantumflow._step_progress[], timestamptz) is
'Takes completed tasks off their steps'' counters, finishes the steps that have none left, and returns those.';
