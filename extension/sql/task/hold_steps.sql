-- The steps of the tasks that a report has written: which of them end by it, and the locks of those that others count, too.

create function quantumflow._progress_of(
  p_run_ids    uuid[],
  p_step_slugs text[],
  p_act        boolean[] default null,
  p_ords       int[] default null,
  p_results    jsonb default null)
returns quantumflow._progress
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_progress_of$
declare
  v_progress quantumflow._progress;
begin
  select
    array_agg(
      row(
        k.run_id, k.step_slug, r.workflow_slug, r.version, w.known_tasks, w.gathers, w.dependents, k.done_tasks,
        k.tasks > k.done_tasks, false, null, null, k.done_tasks, k.done_tasks > 0 and w.known_tasks is not null, false,
        case when w.concludes and k.ord is not null then quantumflow._concluding(coalesce(p_results -> k.ord -> 'output', 'null')) end
      )::quantumflow._step_progress),
    coalesce(bool_or(k.done_tasks > 0 and w.known_tasks is not null), false),
    false,
    coalesce(bool_or(w.known_tasks is null), false),
    false,
    coalesce(bool_or(w.feeds_map or w.chunk_size is not null), false),
    coalesce(bool_or(w.limit_name is not null), false)
  into v_progress
  from (
    select
      u.run_id, u.step_slug, count(*) as tasks, (count(*) filter (where u.acts is not false))::int as done_tasks, min(u.ord) as ord
    from unnest(p_run_ids, p_step_slugs, p_act, p_ords) u (run_id, step_slug, acts, ord)
    group by u.run_id, u.step_slug
    order by u.run_id, u.step_slug
    offset 0
  ) k
  cross join lateral (
    select l.workflow_slug, l.version
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r
  cross join lateral (
    select l.counts, l.known_tasks, l.gathers, l.dependents, l.feeds_map, l.chunk_size, l.concludes, l.limit_name
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, k.step_slug)
    limit 1
  ) w
  where w.counts;

  return v_progress;
end
$_progress_of$;

comment on function quantumflow._progress_of(uuid[], text[], boolean[], int[], jsonb) is
'The steps of tasks, by key, with what never changes of them, and how many of the tasks are done: all, or those that p_act says. Callbacks
have no step. The only task of a step that has one ends it; of others the row must be asked, see _hold_maps. Where p_ords says which of
p_results a task has, a step that concludes its run comes with its output.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._concluding(p_output jsonb)
returns jsonb
language sql
stable
return case when pg_column_size(p_output) <= 2000 then p_output end;

comment on function quantumflow._concluding(jsonb) is
'An output that can be its run''s without a second look. What may be too large, or too deep, to be part of another value, is null: that is
put together where it can be told.';

create function quantumflow._hold_maps(p_progress quantumflow._progress)
returns quantumflow._progress
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_maps$
declare
  v_steps     quantumflow._step_progress[];
  v_some_end  boolean;
  v_some_over boolean;
  v_has_apart boolean;
  v_step      quantumflow._step_progress;
  v_n         int;
begin
  -- The only task of a single step is held, and nobody else moves the step of a task that is live.
  select
    array_agg(
      row(
        k.run_id, k.step_slug, k.workflow_slug, k.version, k.known_tasks, k.gathers, k.dependents, k.done_tasks,
        k.some_fail, c.is_apart is true, null, null, k.row_tasks,
        k.ends or coalesce(k.done_tasks > 0 and k.done_tasks = m.remaining_tasks and not m.is_over, false),
        coalesce(m.is_over, false), k.output
      )::quantumflow._step_progress),
    bool_or(k.ends or coalesce(k.done_tasks > 0 and k.done_tasks = m.remaining_tasks and not m.is_over, false)),
    bool_or(coalesce(m.is_over, false)),
    bool_or(c.is_apart is true)
  into v_steps, v_some_end, v_some_over, v_has_apart
  from unnest(p_progress.steps) k
  left join lateral (
    select true as is_apart
    from quantumflow._map_counters l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      and k.known_tasks is null
    limit 1
  ) c on true
  left join lateral (
    select l.remaining_tasks, l.status <> 'started' as is_over
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      and k.known_tasks is null
      and c.is_apart is null
    for no key update
  ) m on true;

  -- One after the other, all with one counter before them: so every call takes them in the same order.
  for v_n in
    select k.ordinality
    from unnest(v_steps) with ordinality k
    where v_has_apart
      and k.is_apart
  loop
    v_step := quantumflow._hold_counters(v_steps[v_n]);
    v_steps[v_n] := v_step;
    v_some_end := v_some_end or v_step.ends;
    v_some_over := v_some_over or v_step.is_over;
  end loop;

  return row(v_steps, v_some_end, v_some_over, p_progress.has_maps, v_has_apart, p_progress.has_shapes, p_progress.has_limits)::quantumflow._progress;
end
$_hold_maps$;

comment on function quantumflow._hold_maps(quantumflow._progress) is
'Locks the maps among the steps, waiting for each, first those that are counted in their own row, in order of their keys, then those that are
counted apart, and tells which of them this call ends, and which are over: failed by another of their tasks, and their runs have ended, or go
on without them.';

create function quantumflow._hold_steps(p_held quantumflow._held_task[])
returns quantumflow._progress
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_steps$
begin
  return quantumflow._hold_maps(quantumflow._progress_of(
    quantumflow._runs_of(p_held),
    array(select h.step_slug from unnest(p_held) h where h.outcome in ('acts', 'violates', 'fails')),
    array(select h.outcome = 'acts' from unnest(p_held) h where h.outcome in ('acts', 'violates', 'fails'))));
end
$_hold_steps$;

comment on function quantumflow._hold_steps(quantumflow._held_task[]) is
'The steps of held tasks whose reports act or fail, with their maps locked, see _hold_maps.';

create function quantumflow._hold_counters(p_step quantumflow._step_progress)
returns quantumflow._step_progress
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_counters$
declare
  v_free quantumflow._map_counters;
  v_row  quantumflow.step_states;
begin
  -- One that nobody has, and that suffices.
  select *
  into v_free
  from quantumflow._map_counters l
  where (l.run_id, l.step_slug) = (p_step.run_id, p_step.step_slug)
    and l.remaining_tasks >= p_step.done_tasks
    and p_step.done_tasks > 0
  order by l.remaining_tasks desc
  limit 1
  for no key update skip locked;

  if found then
    p_step.counters := array[v_free.counter];
    p_step.taken := array[p_step.done_tasks];
    p_step.row_tasks := case v_free.remaining_tasks when p_step.done_tasks then v_free.initial_tasks else 0 end;
  else
    begin
      p_step := quantumflow._hold_free_counters(p_step);
    exception
      when lock_not_available then
        -- Nothing of the map is held any more, so to wait is no deadlock.
        p_step := quantumflow._hold_all_counters(p_step);
    end;
  end if;

  if p_step.row_tasks > 0 or p_step.some_fail then
    select *
    into v_row
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (p_step.run_id, p_step.step_slug)
    for no key update;
  else
    select *
    into v_row
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (p_step.run_id, p_step.step_slug);
  end if;

  p_step.is_over := v_row.status <> 'started';
  p_step.ends := p_step.done_tasks > 0 and p_step.row_tasks = v_row.remaining_tasks and not p_step.is_over;

  return p_step;
end
$_hold_counters$;

comment on function quantumflow._hold_counters(quantumflow._step_progress) is
'Locks as many counters of a map as have the tasks that this call completes, and the map''s own row where one of them comes to nothing, or a
task fails; and tells whether the map ends.';

create function quantumflow._hold_free_counters(p_step quantumflow._step_progress)
returns quantumflow._step_progress
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_free_counters$
declare
  -- Locked as they are fetched, so none that is not needed.
  c_free  cursor for
    select l.counter, l.initial_tasks, l.remaining_tasks
    from quantumflow._map_counters l
    where (l.run_id, l.step_slug) = (p_step.run_id, p_step.step_slug)
    order by l.remaining_tasks desc
    for no key update skip locked;
  v_left  int := p_step.done_tasks;
  v_taken int;
  v_free  record;
begin
  p_step.row_tasks := 0;

  open c_free;

  while v_left > 0 loop
    fetch c_free into v_free;

    if not found then
      raise exception using errcode = 'lock_not_available';
    end if;

    v_taken := least(v_left, v_free.remaining_tasks);
    v_left := v_left - v_taken;
    p_step.counters := p_step.counters || v_free.counter;
    p_step.taken := p_step.taken || v_taken;
    p_step.row_tasks := p_step.row_tasks + case v_taken when v_free.remaining_tasks then v_free.initial_tasks else 0 end;
  end loop;

  close c_free;

  return p_step;
end
$_hold_free_counters$;

comment on function quantumflow._hold_free_counters(quantumflow._step_progress) is
'Locks those counters of a map that nobody has, the fullest first, until they have the tasks that this call completes.

Errors: 55P03 they do not suffice.';

create function quantumflow._hold_all_counters(p_step quantumflow._step_progress)
returns quantumflow._step_progress
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_all_counters$
declare
  v_counters  int[];
  v_taken     int[];
  v_row_tasks int;
begin
  select
    array_agg(c.counter) filter (where c.taken > 0),
    array_agg(c.taken) filter (where c.taken > 0),
    p_step.done_tasks + coalesce(sum(case c.taken when c.remaining_tasks then c.initial_tasks else 0 end - c.taken), 0)
  into v_counters, v_taken, v_row_tasks
  from (
    select
      l.counter, l.initial_tasks, l.remaining_tasks,
      greatest(0, least(l.remaining_tasks, p_step.done_tasks + l.remaining_tasks - sum(l.remaining_tasks) over (order by l.counter)))::int
        as taken
    from (
      select l.counter, l.initial_tasks, l.remaining_tasks
      from quantumflow._map_counters l
      where (l.run_id, l.step_slug) = (p_step.run_id, p_step.step_slug)
      order by l.counter
      for no key update
    ) l
  ) c;

  p_step.counters := v_counters;
  p_step.taken := v_taken;
  p_step.row_tasks := v_row_tasks;

  return p_step;
end
$_hold_all_counters$;

comment on function quantumflow._hold_all_counters(quantumflow._step_progress) is
'Locks all counters of a map, in their order, waiting for each, and takes from one after the other; what they do not have is in the map''s own
row.';

create function quantumflow._without_ended_runs(p_progress quantumflow._progress)
returns quantumflow._progress
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_without_ended_runs$
begin
  p_progress.steps := array(
    select s
    from unnest(p_progress.steps) s
    where exists (
      select
      from quantumflow.workflow_runs r
      where r.id = s.run_id
        and r.status in ('started', 'paused')
      offset 0
    )
      and not s.is_over);

  return p_progress;
end
$_without_ended_runs$;

comment on function quantumflow._without_ended_runs(quantumflow._progress) is
'Leaves out the steps that, or whose runs, ended before this call got hold of them.';
