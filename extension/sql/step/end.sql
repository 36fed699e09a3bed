create function quantumflow._count_done_tasks(p_progress quantumflow._progress, p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_done_tasks$
declare
  v_step quantumflow._step_progress;
  v_done quantumflow._step_ref[];
begin
  if p_progress.has_apart then
    perform quantumflow._take_off_counters(p_progress.steps);
  end if;

  -- Counters once per call and step, in the order in which the steps were locked.
  with counted as (
    update quantumflow.step_states s
    set
      remaining_tasks = s.remaining_tasks - k.row_tasks,
      status = case when k.ends then 'completed' else s.status end,
      completed_at = case when k.ends then p_now end
    from unnest(p_progress.steps) k
    cross join lateral (
      select l.ctid as tid
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      limit 1
    ) c
    where k.row_tasks > 0
      and not (k.ends and k.gathers)
      and s.run_id is not distinct from k.run_id
      and s.ctid = c.tid
    returning k.*
  )
  select coalesce(
    array_agg(
      row(c.run_id, c.step_slug, c.workflow_slug, c.version, true, c.dependents, true, c.output)::quantumflow._step_ref
    ) filter (where c.ends),
    '{}')
  into v_done
  from counted c;

  if not p_progress.has_maps then
    return v_done;
  end if;

  -- A loop, because each array is gathered, and may prove too large, by itself.
  for v_step in
    select k.*
    from unnest(p_progress.steps) k
    where k.ends
      and k.gathers
  loop
    if quantumflow._end_map(
      v_step.run_id, v_step.step_slug, v_step.workflow_slug, v_step.version, v_step.row_tasks, p_now)
    then
      v_done := v_done || row(
        v_step.run_id, v_step.step_slug, v_step.workflow_slug, v_step.version, true, v_step.dependents, true, null
      )::quantumflow._step_ref;
    end if;
  end loop;

  return v_done;
end
$_count_done_tasks$;

comment on function quantumflow._count_done_tasks(quantumflow._progress, timestamptz) is
'Takes completed tasks off their steps'' counters, finishes the steps that have none left, and returns those.';
