create function quantumflow._count_done_tasks(p_progress quantumflow._progress, p_now timestamptz)
returns quantumflow._counted
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_done_tasks$
declare
  v_step   quantumflow._step_progress;
  v_done   quantumflow._step_ref[];
  v_loops  quantumflow._step_ref[];
  v_turned quantumflow._counted;
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
      and not (k.ends and k.known_tasks is null)
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
    return row(v_done, '{}')::quantumflow._counted;
  end if;

  v_loops := array(
    select row(k.run_id, k.step_slug, k.workflow_slug, k.version, true, k.dependents, true, null)::quantumflow._step_ref
    from unnest(p_progress.steps) k
    where k.ends
      and k.known_tasks is null
      and not k.gathers);

  if v_loops <> '{}' then
    v_turned := quantumflow._turn_loops(v_loops, p_now);
    v_done := v_done || v_turned.done;
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

  return row(v_done, coalesce(v_turned.again, '{}'))::quantumflow._counted;
end
$_count_done_tasks$;

comment on function quantumflow._count_done_tasks(quantumflow._progress, timestamptz) is
'Takes completed tasks off their steps'' counters, finishes the steps that have none left, and returns those, and the loops that have another
iteration. The caller holds the steps'' runs.';

create function quantumflow._move_on(p_progress quantumflow._progress, p_now timestamptz, p_offer quantumflow._offer default null)
returns quantumflow._offer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_move_on$
declare
  v_counted quantumflow._counted := quantumflow._count_done_tasks(p_progress, p_now);
begin
  return quantumflow._advance(v_counted.done, v_counted.again, p_now, p_offer);
end
$_move_on$;

comment on function quantumflow._move_on(quantumflow._progress, timestamptz, quantumflow._offer) is
'Counts completed tasks, and moves their runs on, as _advance does. The caller holds the runs.';
