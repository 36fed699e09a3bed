-- What happens when steps end or become ready. The caller holds the runs, so nobody else moves them.

create function quantumflow._advance(
  p_done  quantumflow._step_ref[],
  p_ready quantumflow._step_ref[],
  p_now   timestamptz,
  p_offer quantumflow._offer default null)
returns quantumflow._offer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_advance$
declare
  v_done     quantumflow._step_ref[] := p_done;
  v_ready    quantumflow._step_ref[] := p_ready;
  v_finished quantumflow._step_ref[] := p_done;
  v_offer    quantumflow._offer := p_offer;
  v_started  quantumflow._readied;
begin
  -- One turn a level of the graph, and only what ends without a task leads to another.
  loop
    if v_done <> '{}' then
      v_ready := v_ready || quantumflow._release_dependents(v_done, p_now);
    end if;

    exit when v_ready = '{}';

    v_started := quantumflow._start_steps(v_ready, p_now, v_offer);
    v_offer := v_started.offer;
    v_done := v_started.taskless;
    v_ready := '{}';

    if cardinality(v_started.stranded) > 0 then
      v_done := v_done || quantumflow._fail_stranded(v_started.stranded, p_now);
    end if;

    v_finished := v_finished || v_done;
  end loop;

  if v_finished <> '{}' then
    perform quantumflow._count_finished(v_finished, p_now);
  end if;

  return v_offer;
end
$_advance$;

comment on function quantumflow._advance(quantumflow._step_ref[], quantumflow._step_ref[], timestamptz, quantumflow._offer) is
'Moves runs on: releases what waited for the steps that are done, starts what is ready or lets it end at the gate, ends runs that have no
step left, and those of steps whose queue is gone. Returns the offer of the worker that caused it, with the tasks that it was given.

The caller has locked the runs FOR NO KEY UPDATE or stronger and has marked the rows of p_done.';

create function quantumflow._count_finished(p_finished quantumflow._step_ref[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_finished$
declare
  v_counted  uuid[];
  v_runs     int;
  v_children uuid[];
begin
  with finished as (
    select
      f.run_id, count(*)::int as steps,
      (array_agg(jsonb_build_object(f.step_slug, f.output)) filter (where f.output is not null))[1] as output
    from unnest(p_finished) f
    group by f.run_id
  ),
  counted as (
    update quantumflow.workflow_runs r
    set
      remaining_steps = case when c.ends then 0 else r.remaining_steps - k.steps end,
      status = case when c.ends then 'completed' else r.status end,
      output = case when c.ends then k.output end,
      completed_at = case when c.ends then p_now end
    from finished k
    cross join lateral (
      select l.ctid as tid, l.remaining_steps <= k.steps as ends, l.announced
      from quantumflow.workflow_runs l
      where l.id = k.run_id
      limit 1
    ) c
    where (not c.ends or (k.output is not null and c.announced is null))
      and r.id is not distinct from k.run_id
      and r.ctid = c.tid
    returning r.id, case when r.status = 'completed' then r.parent_run_id end as parent_id
  )
  select coalesce(array_agg(c.id), '{}'), (select count(*)::int from finished), array_agg(c.id) filter (where c.parent_id is not null)
  into v_counted, v_runs, v_children
  from counted c;

  if v_children is not null then
    perform quantumflow._wake_parents(v_children, p_now);
  end if;

  if cardinality(v_counted) < v_runs then
    perform quantumflow._finish_runs(quantumflow._gather_run_outputs(p_finished, v_counted), p_now);
  end if;
end
$_count_finished$;

comment on function quantumflow._count_finished(quantumflow._step_ref[], timestamptz) is
'Takes the steps that are done off their runs'' counters. A run that has no step left ends, and its counter is written with its end: here
where its last step concludes it, else by _finish_runs.';

create function quantumflow._release_dependents(p_done quantumflow._step_ref[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_release_dependents$
declare
  v_ready quantumflow._step_ref[];
begin
  -- Counted per dependent first: a step that waits for two of p_done is one row to update.
  with met as materialized (
    select k.*, c.*, w.*
    from (
      select u.run_id, u.workflow_slug, u.version, u.step_slug, count(*)::int as done_deps
      from (
        select d.run_id, d.workflow_slug, d.version, unnest(d.dependents) as step_slug
        from unnest(p_done) d
      ) u
      group by u.run_id, u.workflow_slug, u.version, u.step_slug
    ) k
    cross join lateral (
      select l.ctid as tid, l.remaining_deps = k.done_deps and r.status = 'started' as becomes_ready
      from quantumflow.step_states l
      join quantumflow.workflow_runs r
        on r.id = l.run_id
      where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      limit 1
    ) c
    cross join lateral (
      select c.becomes_ready and l.plain and coalesce(l.known_tasks > 0, false) as starts, l.dependents, l.plain
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
      limit 1
    ) w
  ),
  released as (
    update quantumflow.step_states s
    set
      remaining_deps = s.remaining_deps - m.done_deps,
      status = case when m.starts then 'started' else s.status end,
      started_at = case when m.starts then p_now else s.started_at end
    from met m
    where (m.starts or not m.becomes_ready)
      and s.run_id is not distinct from m.run_id
      and s.ctid = m.tid
  )
  select array_agg(
    row(m.run_id, m.step_slug, m.workflow_slug, m.version, m.starts, m.dependents, m.plain, null)::quantumflow._step_ref)
  into v_ready
  from met m
  where m.becomes_ready;

  return coalesce(v_ready, '{}');
end
$_release_dependents$;

comment on function quantumflow._release_dependents(quantumflow._step_ref[], timestamptz) is
'Takes the steps that are done off the counters of those that wait for them, and returns which are ready now.

A plain step that is known to have tasks, and that becomes ready, is marked started by the same update. Any other that becomes ready is
left as it is, since who starts it, or ends it at the gate, writes its row, and one version of that is enough. In a paused run nothing
becomes ready.';

create function quantumflow._start_steps(
  p_steps quantumflow._step_ref[],
  p_now   timestamptz,
  p_offer quantumflow._offer)
returns quantumflow._readied
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_steps$
declare
  c_portion  constant int := 20000;
  v_steps    quantumflow._step_ref[] := p_steps;
  v_marks    boolean;
  v_gates    boolean;
  v_gated    quantumflow._gated;
  v_taskless quantumflow._step_ref[];
  v_tasks    bigint;
  v_settled  quantumflow._step_ref[];
  v_resumed  quantumflow._step_ref[];
  v_turned   quantumflow._counted;
  v_most     int;
  v_stranded quantumflow._new_task[];
  v_made     quantumflow._readied;
begin
  select bool_or(not k.is_started), bool_or(not k.plain)
  into v_marks, v_gates
  from unnest(p_steps) k;

  if v_gates then
    v_gated := quantumflow._pass_gate(p_steps, p_now);
    v_steps := v_gated.starts;
  end if;

  if v_steps = '{}' then
    return row(v_gated.ended, null, p_offer)::quantumflow._readied;
  end if;

  if v_marks then
    select
      array_agg(m.step order by (m.step).run_id, (m.step).step_slug) filter (where m.tasks = 0),
      sum(m.tasks) filter (where not m.settled),
      array_agg(m.step) filter (where m.settled and m.tasks > 0),
      max(m.tasks) filter (where m.settled),
      array_agg(m.step) filter (where m.made > 0)
    into v_taskless, v_tasks, v_settled, v_most, v_resumed
    from quantumflow._mark_started(v_steps, p_now) m;

    if v_resumed is not null then
      -- What it ends goes on as if it had never begun, and what it fails is over.
      v_turned := quantumflow._turn_loops(v_resumed, p_now);
      v_taskless := v_taskless || v_turned.done;
      v_steps := quantumflow._of_live_runs(quantumflow._steps_but(v_steps, v_resumed) || v_turned.again);
      v_settled := quantumflow._of_live_runs(quantumflow._steps_but(v_settled, v_resumed));
    end if;

    if v_settled <> '{}' then
      v_stranded := case
        when v_most > c_portion then quantumflow._make_settled_in_portions(v_settled, c_portion, p_now)
        else quantumflow._make_settled_tasks(v_settled, null, null, p_now)
      end;
      v_steps := quantumflow._steps_but(v_steps, v_settled);
    end if;

    if v_steps = '{}' then
      return row(coalesce(v_gated.ended, '{}') || v_taskless, v_stranded, p_offer)::quantumflow._readied;
    end if;

    if v_tasks >= quantumflow._counted_apart_from() then
      perform quantumflow._make_counters(v_steps);
    end if;
  end if;

  if v_tasks > c_portion then
    v_made := quantumflow._make_tasks_in_portions(v_steps, c_portion, p_now, p_offer);
  else
    v_made := quantumflow._make_tasks(v_steps, null, null, p_now, p_offer);
  end if;

  return row(
    coalesce(v_gated.ended, '{}') || v_taskless, v_stranded || v_made.stranded, v_made.offer
  )::quantumflow._readied;
end
$_start_steps$;

comment on function quantumflow._start_steps(quantumflow._step_ref[], timestamptz, quantumflow._offer) is
'The only way in which steps start and get their tasks: one for a single step, one per item, or per chunk of items, for a map. What is settled gets its own here, too. What is not
plain passes the gate first. Returns those that have ended without a task, what has no queue, and the offer with what was handed over.';

create function quantumflow._steps_but(p_steps quantumflow._step_ref[], p_others quantumflow._step_ref[])
returns quantumflow._step_ref[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_steps_but$
begin
  return array(
    select k
    from unnest(p_steps) k
    where not exists (select from unnest(p_others) s where (s.run_id, s.step_slug) = (k.run_id, k.step_slug)));
end
$_steps_but$;

comment on function quantumflow._steps_but(quantumflow._step_ref[], quantumflow._step_ref[]) is
'Steps without others.';

create function quantumflow._mark_started(p_steps quantumflow._step_ref[], p_now timestamptz)
returns table (step quantumflow._step_ref, tasks int, settled boolean, made int)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_mark_started$
begin
  return query
  update quantumflow.step_states s
  set
    status = case m.tasks when 0 then 'completed' else 'started' end,
    remaining_deps = 0,
    initial_tasks = greatest(m.tasks, m.made),
    remaining_tasks = m.tasks - m.kept,
    started_at = p_now,
    completed_at = case m.tasks when 0 then p_now end,
    output = case when m.tasks > 0 then null when m.gathers then '[]'::jsonb else 'null' end
  from (
    select
      k as step,
      coalesce(
        w.known_tasks,
        case when w.repeats then 1 end,
        ceil(
          jsonb_array_length(quantumflow._map_source(k.run_id, k.workflow_slug, k.version, k.step_slug))::numeric
          / coalesce(w.chunk_size, 1))::int) as tasks,
      w.gathers,
      w.settled,
      case when w.repeats then 0 else quantumflow._kept_tasks(k.run_id, k.step_slug) end as kept,
      case when w.repeats then quantumflow._iterations_made(k.run_id, k.step_slug) else 0 end as made
    from unnest(p_steps) k
    cross join lateral (
      select l.known_tasks, l.gathers, l.chunk_size, l.settled, l.repeats
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
      limit 1
    ) w
    where not k.is_started
    offset 0
  ) m
  cross join lateral (
    select l.ctid as tid
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = ((m.step).run_id, (m.step).step_slug)
    limit 1
  ) d
  where s.run_id is not distinct from (m.step).run_id
    and s.ctid = d.tid
  returning m.step, m.tasks, m.settled, m.made;
end
$_mark_started$;

comment on function quantumflow._mark_started(quantumflow._step_ref[], timestamptz) is
'Marks those steps started that are not yet, and returns them with their numbers of tasks, whether these are settled, and how many iterations a loop
has had, which goes on after a retry. A map learns its own number here; what has no task,
as a map over an empty array, is done at once. A retried map has kept the tasks that were completed, and gets the others.

Where a step is known to have tasks, whatever statement finds the step ready while it writes its row has marked it already.';

create function quantumflow._start_ready(
  p_run    quantumflow.workflow_runs,
  p_now    timestamptz,
  p_passed text[] default '{}')
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_ready$
declare
  v_ready  quantumflow._step_ref[];
  v_queues text[];
begin
  select
    array_agg(
      row(
        s.run_id, s.step_slug, w.workflow_slug, w.version, false, w.dependents, w.plain or s.step_slug = any (p_passed),
        null
      )::quantumflow._step_ref
      order by s.step_slug),
    array_agg(distinct w.queue)
  into v_ready, v_queues
  from quantumflow.step_states s
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, s.step_slug)
  where s.run_id = p_run.id
    and s.status = 'created'
    and s.remaining_deps = 0;

  if v_ready is null then
    return 0;
  end if;

  perform quantumflow._refuse_unusable_queues(v_queues);

  perform quantumflow._advance('{}', v_ready, p_now);

  return cardinality(v_ready);
end
$_start_ready$;

comment on function quantumflow._start_ready(quantumflow.workflow_runs, timestamptz, text[]) is
'Starts the steps of a run that wait for nothing any more and have not started, or lets them end at the gate. Returns how many. The caller
holds the run, which is started. p_passed: those that have passed the gate before, and do not again.

Errors: QF401 a queue is gone; QF403 it is somebody else''s.';
