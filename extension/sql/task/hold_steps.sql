create function quantumflow._hold_steps(p_held quantumflow._held_task[])
returns quantumflow._step_progress[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_steps$
declare
  v_steps quantumflow._step_progress[];
begin
  select array_agg(
    row(
      k.run_id, k.step_slug, s.tid, k.workflow_slug, k.version, k.known_tasks, w.gathers, w.dependents, k.done_tasks,
      k.done_tasks > 0 and k.done_tasks = s.remaining_tasks, s.is_over
    )::quantumflow._step_progress)
  into v_steps
  from (
    select
      h.run_id, h.step_slug, h.workflow_slug, h.version, h.known_tasks,
      (count(*) filter (where h.outcome = 'acts'))::int as done_tasks
    from unnest(p_held) h
    where h.outcome in ('acts', 'violates', 'fails')
      and h.counts
    group by h.run_id, h.step_slug, h.workflow_slug, h.version, h.known_tasks
    order by h.run_id, h.step_slug
    offset 0
  ) k
  left join lateral (
    select l.ctid as tid, l.remaining_tasks, l.status <> 'started' as is_over
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      and k.known_tasks is null
    for no key update
  ) m on true
  -- The only task of a single step is held, and nobody else moves the step of a task that is live.
  cross join lateral (
    select
      coalesce(m.tid, l.ctid) as tid, coalesce(m.remaining_tasks, 1) as remaining_tasks, coalesce(m.is_over, false) as is_over
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
    limit 1
  ) s
  cross join lateral (
    select l.gathers, l.dependents
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
    limit 1
  ) w;

  return coalesce(v_steps, '{}');
end
$_hold_steps$;

comment on function quantumflow._hold_steps(quantumflow._held_task[]) is
'Locks the maps of the tasks that act, in order of their keys, waiting for each, and tells which of the steps this call ends, and which are
over: failed by another of their tasks, and their runs have ended, or go on without them.';

create function quantumflow._without_ended_runs(p_steps quantumflow._step_progress[])
returns quantumflow._step_progress[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_without_ended_runs$
begin
  return array(
    select s
    from unnest(p_steps) s
    where exists (
      select
      from quantumflow.workflow_runs r
      where r.id = s.run_id
        and r.status in ('started', 'paused')
      offset 0
    )
      and not s.is_over);
end
$_without_ended_runs$;

comment on function quantumflow._without_ended_runs(quantumflow._step_progress[]) is
'Leaves out the steps that, or whose runs, ended before this call got hold of them.';
