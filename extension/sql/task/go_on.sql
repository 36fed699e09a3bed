-- What the final failure of a task means where its run may go on without it, or without its step.

create function quantumflow._judge_failures(p_held quantumflow._held_task[], p_steps quantumflow._step_progress[])
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_judge_failures$
declare
  v_held   quantumflow._held_task[] := p_held;
  v_judged record;
begin
  for v_judged in
    select k.n, k.is_over, case when s.failed_tasks + k.failing <= w.tolerated then 'tolerated' else w.if_failed end as if_failed
    from (
      select
        h.ordinality as n, h.run_id, h.step_slug, h.workflow_slug, h.version,
        count(*) filter (where h.outcome in ('violates', 'fails')) over (partition by h.run_id, h.step_slug) as failing,
        exists (
          select
          from unnest(p_steps) o
          where o.is_over
            and (o.run_id, o.step_slug) = (h.run_id, h.step_slug)
        ) as is_over
      from unnest(p_held) with ordinality h
      where h.outcome in ('acts', 'violates', 'fails')
        and h.counts
      offset 0
    ) k
    cross join lateral (
      select coalesce(l.failed_tasks, 0) as failed_tasks, l.initial_tasks
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      limit 1
    ) s
    cross join lateral (
      select
        coalesce(l.tolerate_tasks, floor(l.tolerate_share * s.initial_tasks)) as tolerated,
        quantumflow._if_failed(l.goes_on, l.fallback) as if_failed
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
      limit 1
    ) w
    where k.failing > 0
      or k.is_over
  loop
    if v_judged.is_over then
      v_held[v_judged.n].outcome := 'run_ended';
    elsif v_held[v_judged.n].outcome <> 'acts' then
      v_held[v_judged.n].if_failed := v_judged.if_failed;
    end if;
  end loop;

  return v_held;
end
$_judge_failures$;

comment on function quantumflow._judge_failures(quantumflow._held_task[], quantumflow._step_progress[]) is
'Says of the tasks that fail for good how their runs go on (if_failed): tolerated, if all of a map that fail in this call may; else as the
step says. What belongs to a step that was over before gets the outcome run_ended. The caller holds their maps; p_steps: what _hold_steps
says of these.';

create function quantumflow._mode_to_fail(p_held quantumflow._held_task[])
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_mode_to_fail$
begin
  return case
    when exists (select from unnest(p_held) h where h.outcome in ('violates', 'fails') and h.if_failed is null) then 'update'
    else 'no key update'
  end;
end
$_mode_to_fail$;

comment on function quantumflow._mode_to_fail(quantumflow._held_task[]) is
'The mode in which the runs of tasks that fail are locked: "update" where one fails with its task, else "no key update".';

create function quantumflow._tolerate(p_held quantumflow._held_task[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_tolerate$
declare
  v_held quantumflow._held_task[] := p_held;
begin
  if p_held = '{}' then
    return '{}';
  end if;

  with failed as (
    select h.run_id, h.step_slug, count(*)::int as tasks
    from unnest(p_held) h
    group by h.run_id, h.step_slug
  ),
  noted as (
    update quantumflow.step_states s
    set failed_tasks = coalesce(s.failed_tasks, 0) + k.tasks
    from failed k
    cross join lateral (
      select l.ctid as tid
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      limit 1
    ) c
    where s.run_id is not distinct from k.run_id
      and s.ctid = c.tid
  )
  update quantumflow.workflow_runs r
  set gave_up = coalesce(r.gave_up, 0) + k.tasks
  from (
    select f.run_id, sum(f.tasks)::int as tasks
    from failed f
    group by f.run_id
  ) k
  cross join lateral (
    select l.ctid as tid
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) c
  where r.id is not distinct from k.run_id
    and r.ctid = c.tid;

  -- To the counters of its step such a task is one that is done.
  for n in 1 .. cardinality(v_held) loop
    v_held[n].outcome := 'acts';
  end loop;

  return (quantumflow._count_done_tasks(quantumflow._hold_steps(v_held), p_now)).done;
end
$_tolerate$;

comment on function quantumflow._tolerate(quantumflow._held_task[], timestamptz) is
'Counts the tasks of maps that have failed and are tolerated. Returns the maps that have no task left. The caller holds the maps and the
runs.';
