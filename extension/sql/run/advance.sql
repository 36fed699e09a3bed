-- What happens when steps end or become ready. The caller holds the runs, so nobody else moves them.

create type quantumflow._ended_run as (
  run_id        uuid,
  output        jsonb,
  workflow_slug text,
  version       int
);

comment on type quantumflow._ended_run is 'A run that has no step left, and what it leaves.';

create type quantumflow._readied as (
  taskless quantumflow._step_ref[],
  stranded quantumflow._new_task[],
  offer    quantumflow._offer
);

comment on type quantumflow._readied is
'Of the steps that became ready the maps of nothing, which are done, a task of each step whose queue cannot be used, and the offer of a
worker with the tasks that it was given.';

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
  v_stranded quantumflow._new_task[];
  v_counted  uuid[];
  v_runs     int;
begin
  -- One turn a level of the graph, and only maps of nothing lead to another.
  loop
    if v_done <> '{}' then
      v_ready := v_ready || quantumflow._release_dependents(v_done, p_now);
    end if;

    exit when v_ready = '{}';

    v_started := quantumflow._step_became_ready(v_ready, p_now, v_offer);
    v_offer := v_started.offer;
    v_done := v_started.taskless;
    v_ready := '{}';
    v_finished := v_finished || v_done;
    v_stranded := v_stranded || v_started.stranded;
  end loop;

  if cardinality(v_stranded) > 0 then
    perform quantumflow._fail_stranded(v_stranded, p_now);
  end if;

  if v_finished = '{}' then
    return v_offer;
  end if;

  -- The runs' counters, last; of runs without any step left they are written with their ends.
  with finished as (
    select f.run_id, count(*)::int as steps
    from unnest(v_finished) f
    group by f.run_id
  ),
  counted as (
    update quantumflow.workflow_runs r
    set remaining_steps = r.remaining_steps - k.steps
    from finished k
    cross join lateral (
      select l.ctid as tid
      from quantumflow.workflow_runs l
      where l.id = k.run_id
        and l.remaining_steps > k.steps
      limit 1
    ) c
    where r.ctid = c.tid
    returning r.id
  )
  select coalesce(array_agg(c.id), '{}'), (select count(*)::int from finished)
  into v_counted, v_runs
  from counted c;

  if cardinality(v_counted) < v_runs then
    perform quantumflow._finish_runs(quantumflow._gather_run_outputs(v_finished, v_counted), p_now);
  end if;

  return v_offer;
end
$_advance$;

comment on function quantumflow._advance(quantumflow._step_ref[], quantumflow._step_ref[], timestamptz, quantumflow._offer) is
'Moves runs on: releases what waited for the steps that are done, starts what is ready, ends runs that have no step left, and those
of steps whose queue is gone. Returns the offer of the worker that caused it, with the tasks that it was given.

The caller has locked the runs FOR NO KEY UPDATE or stronger and has marked the rows of p_done.';

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
  with released as (
    update quantumflow.step_states s
    set
      remaining_deps = s.remaining_deps - k.done_deps,
      status = case when c.becomes_ready and w.step_type = 'single' then 'started' else s.status end,
      started_at = case when c.becomes_ready and w.step_type = 'single' then p_now else s.started_at end
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
        select l.step_type, l.dependents
        from quantumflow.workflow_steps l
        where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
        limit 1
      ) w
    where s.ctid = c.tid
    returning k.run_id, k.step_slug, k.workflow_slug, k.version, w.step_type, w.dependents, c.becomes_ready
  )
  select array_agg(
    row(d.run_id, d.step_slug, d.workflow_slug, d.version, d.step_type, d.dependents)::quantumflow._step_ref)
  into v_ready
  from released d
  where d.becomes_ready;

  return coalesce(v_ready, '{}');
end
$_release_dependents$;

comment on function quantumflow._release_dependents(quantumflow._step_ref[], timestamptz) is
'Takes the steps that are done off the counters of those that wait for them, and returns which are ready now.

A single step that becomes ready is marked started by the same update. In a paused run nothing becomes ready.';

create function quantumflow._step_became_ready(
  p_steps quantumflow._step_ref[],
  p_now   timestamptz,
  p_offer quantumflow._offer)
returns quantumflow._readied
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_step_became_ready$
declare
  c_portion  constant int := 20000;
  v_taskless quantumflow._step_ref[] := array[]::quantumflow._step_ref[];
  v_tasks    bigint;
  v_made     quantumflow._readied;
begin
  -- A map learns its size here; one over an empty array is done at once.
  if exists (select from unnest(p_steps) k where k.step_type = 'map') then
    with sized as (
      update quantumflow.step_states s
      set
        status = case m.tasks when 0 then 'completed' else 'started' end,
        initial_tasks = m.tasks,
        remaining_tasks = m.tasks - m.kept,
        started_at = p_now,
        completed_at = case m.tasks when 0 then p_now end,
        output = case m.tasks when 0 then '[]'::jsonb end
      from (
        select
          k.*,
          ceil(
            jsonb_array_length(quantumflow._map_source(k.run_id, k.workflow_slug, k.version, k.step_slug))::numeric
            / quantumflow._chunk_size(k.workflow_slug, k.version, k.step_slug))::int as tasks,
          quantumflow._kept_tasks(k.run_id, k.step_slug) as kept
        from unnest(p_steps) k
        where k.step_type = 'map'
        offset 0
      ) m
      cross join lateral (
        select l.ctid as tid
        from quantumflow.step_states l
        where (l.run_id, l.step_slug) = (m.run_id, m.step_slug)
        limit 1
      ) d
      where s.ctid = d.tid
      returning m.run_id, m.step_slug, m.workflow_slug, m.version, m.step_type, m.dependents, m.tasks
    )
    select
      coalesce(
        array_agg(
          row(d.run_id, d.step_slug, d.workflow_slug, d.version, d.step_type, d.dependents)::quantumflow._step_ref
          order by d.run_id, d.step_slug) filter (where d.tasks = 0),
        '{}'),
      sum(d.tasks)
    into v_taskless, v_tasks
    from sized d;
  end if;

  if v_tasks > c_portion then
    v_made := quantumflow._make_tasks_in_portions(p_steps, c_portion, p_now, p_offer);
  else
    v_made := quantumflow._make_tasks(p_steps, null, null, p_now, p_offer);
  end if;

  return row(v_taskless, v_made.stranded, v_made.offer)::quantumflow._readied;
end
$_step_became_ready$;

comment on function quantumflow._step_became_ready(quantumflow._step_ref[], timestamptz, quantumflow._offer) is
'The only way a step gets its tasks: one for a single step, one per item, or per chunk of items, for a map. Returns the maps of
nothing, which are done, what has no queue, and the offer with what was handed over.

A retried map has kept the tasks that were completed, and gets the others. A single step''s row was marked started by the statement
that saw it ready.';

create function quantumflow._make_tasks(
  p_steps quantumflow._step_ref[],
  p_first int,
  p_last  int,
  p_now   timestamptz,
  p_offer quantumflow._offer)
returns quantumflow._readied
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_tasks$
declare
  v_tasks  quantumflow._new_task[];
  v_oldest timestamptz[];
  v_offer  quantumflow._offer := p_offer;
begin
  select array_agg(
    row(
      k.run_id, k.step_slug, i.task_index, i.item_value, k.workflow_slug, k.version, k.step_type, w.command, w.timeout,
      w.queue, d.ready_at,
      case
        when d.ready_at > p_now then d.ready_at
        -- Not all of a large map at one moment, or a claim could not tell how far it had come: see _remember_front.
        else p_now - make_interval(secs => r.priority) + interval '1 us' * (i.task_index / 1000)
      end,
      r.headers, null, null, null
    )::quantumflow._new_task)
  into v_tasks
  from unnest(p_steps) k
  cross join lateral (
    select l.started_at, l.priority, l.headers, l.retries
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r
  cross join lateral (
    select l.command, l.timeout, l.queue, l.start_delay, l.chunk_size
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
    limit 1
  ) w
  cross join lateral (select greatest(p_now, r.started_at) + w.start_delay as ready_at) d
  cross join lateral (
    select 0 as task_index, null::jsonb as item_value
    where k.step_type = 'single'
    union all
    select (e.n - 1)::int + coalesce(p_first, 0), e.item
    from jsonb_array_elements(quantumflow._map_items(k, p_first, p_last, 1)) with ordinality e (item, n)
    where k.step_type = 'map'
      and w.chunk_size is null
    union all
    select ((e.n - 1) / w.chunk_size)::int + coalesce(p_first, 0), jsonb_agg(e.item order by e.n)
    from jsonb_array_elements(quantumflow._map_items(k, p_first, p_last, w.chunk_size)) with ordinality e (item, n)
    where w.chunk_size is not null
    group by 1
  ) i
  where case
    when r.retries > 0 then not exists (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.task_index) = (k.run_id, k.step_slug, i.task_index)
      offset 0
    )
    else true
  end;

  if p_offer.free > cardinality(p_offer.taken) then
    v_oldest := quantumflow._oldest_vts(p_offer.queues, p_now);
    v_tasks := quantumflow._take_up(p_offer, v_tasks, v_oldest, p_now);
    v_offer := quantumflow._with_taken(p_offer, v_tasks, v_oldest);
  end if;

  return row(null, quantumflow._queue_tasks(v_tasks), v_offer)::quantumflow._readied;
end
$_make_tasks$;

comment on function quantumflow._make_tasks(quantumflow._step_ref[], int, int, timestamptz, quantumflow._offer) is
'Makes the tasks of steps; of maps only those from p_first to p_last, unless these are null. Returns what has no
queue, and the offer with those that were handed over.';

create function quantumflow._fail_stranded(p_tasks quantumflow._new_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_stranded$
begin
  perform quantumflow._fail_step(k.run_id, k.step_slug, null, k.step_type, quantumflow._why_stranded(k.queue), p_now)
  from (
    select distinct t.run_id, t.step_slug, t.step_type, t.queue
    from unnest(p_tasks) t
    order by t.run_id, t.step_slug
  ) k;
end
$_fail_stranded$;

comment on function quantumflow._fail_stranded(quantumflow._new_task[], timestamptz) is
'Fails the steps of tasks that have no queue, and their runs. To raise instead would refuse a report that has nothing to do with it, for
ever, and with it whatever it came with.';

create function quantumflow._map_items(p_step quantumflow._step_ref, p_first int, p_last int, p_chunk_size int)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_map_items$
declare
  v_source jsonb := quantumflow._map_source(p_step.run_id, p_step.workflow_slug, p_step.version, p_step.step_slug);
begin
  if p_first is null then
    return v_source;
  end if;

  return jsonb_path_query_array(
    v_source, '$[$first to $last]',
    jsonb_build_object('first', p_first::bigint * p_chunk_size, 'last', (p_last + 1)::bigint * p_chunk_size - 1));
end
$_map_items$;

comment on function quantumflow._map_items(quantumflow._step_ref, int, int, int) is
'The items of a map that its tasks p_first to p_last have; all of them when p_first is null.';

create function quantumflow._chunk_size(p_workflow_slug text, p_version int, p_step_slug text)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_chunk_size$
begin
  return (
    select coalesce(w.chunk_size, 1)
    from quantumflow.workflow_steps w
    where (w.workflow_slug, w.version, w.step_slug) = (p_workflow_slug, p_version, p_step_slug)
  );
end
$_chunk_size$;

comment on function quantumflow._chunk_size(text, int, text) is
'How many items of a map one task has.';

create function quantumflow._make_tasks_in_portions(
  p_steps   quantumflow._step_ref[],
  p_portion int,
  p_now     timestamptz,
  p_offer   quantumflow._offer)
returns quantumflow._readied
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_tasks_in_portions$
declare
  v_step     quantumflow._step_ref;
  v_tasks    int;
  v_made     quantumflow._readied;
  v_stranded quantumflow._new_task[];
  v_offer    quantumflow._offer := p_offer;
begin
  foreach v_step in array p_steps loop
    select s.initial_tasks
    into v_tasks
    from quantumflow.step_states s
    where (s.run_id, s.step_slug) = (v_step.run_id, v_step.step_slug);

    for v_first in 0 .. v_tasks - 1 by p_portion loop
      v_made := quantumflow._make_tasks(array[v_step], v_first, v_first + p_portion - 1, p_now, v_offer);
      v_offer := v_made.offer;
      v_stranded := v_stranded || v_made.stranded;
    end loop;
  end loop;

  return row(null, v_stranded, v_offer)::quantumflow._readied;
end
$_make_tasks_in_portions$;

comment on function quantumflow._make_tasks_in_portions(quantumflow._step_ref[], int, timestamptz, quantumflow._offer) is
'Makes the tasks of steps with many items, p_portion at a time: all at once, with their messages, would need gigabytes, and more
than an array may hold.';

create function quantumflow._kept_tasks(p_run_id uuid, p_step_slug text)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_kept_tasks$
begin
  return (
    select count(*)::int
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
  );
end
$_kept_tasks$;

comment on function quantumflow._kept_tasks(uuid, text) is
'How many tasks a step has before it starts: those that a retry kept, which are completed.';

create function quantumflow._map_source(p_run_id uuid, p_workflow_slug text, p_version int, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_map_source$
declare
  v_map_over text;
  v_source   jsonb;
begin
  select w.map_over
  into v_map_over
  from quantumflow.workflow_steps w
  where (w.workflow_slug, w.version, w.step_slug) = (p_workflow_slug, p_version, p_step_slug);

  if v_map_over is null then
    select r.input
    into v_source
    from quantumflow.workflow_runs r
    where r.id = p_run_id;
  else
    v_source := quantumflow._step_output(p_run_id, v_map_over);
  end if;

  return v_source;
end
$_map_source$;

comment on function quantumflow._map_source(uuid, text, int, text) is
'The array a map step maps over: a dependency''s output, or the run''s input.';

create function quantumflow._step_output(p_run_id uuid, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_step_output$
declare
  v_output jsonb;
begin
  select coalesce(s.output, t.output)
  into v_output
  from quantumflow.step_states s
  left join quantumflow.step_tasks t
    on (t.run_id, t.step_slug, t.task_index) = (s.run_id, s.step_slug, 0)
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
    and s.status = 'completed';

  return v_output;
end
$_step_output$;

comment on function quantumflow._step_output(uuid, text) is
'A completed step''s output, wherever it is stored: a map''s on the step, a single step''s on its task. Null before.';

create function quantumflow._gather_run_outputs(p_finished quantumflow._step_ref[], p_going_on uuid[])
returns quantumflow._ended_run[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_gather_run_outputs$
declare
  v_ended quantumflow._ended_run[];
begin
  select array_agg(
    row(f.run_id, null, f.workflow_slug, f.version)::quantumflow._ended_run
    order by f.run_id)
  into v_ended
  from (
    select distinct e.run_id, e.workflow_slug, e.version
    from unnest(p_finished) e
  ) f
  where f.run_id <> all (p_going_on);

  return quantumflow._gather_outputs(v_ended);
end
$_gather_run_outputs$;

comment on function quantumflow._gather_run_outputs(quantumflow._step_ref[], uuid[]) is
'The runs of finished steps, without those that go on, with their outputs; null where it cannot be one jsonb value.';

create function quantumflow._gather_outputs(p_ended quantumflow._ended_run[])
returns quantumflow._ended_run[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_gather_outputs$
declare
  v_ended quantumflow._ended_run[] := p_ended;
begin
  begin
    return quantumflow._with_outputs(v_ended);
  exception
    when program_limit_exceeded or out_of_memory or internal_error then
      -- Some output is larger than a jsonb value may be: find out whose, one run at a time.
      for n in 1 .. cardinality(v_ended) loop
        begin
          v_ended[n] := (quantumflow._with_outputs(v_ended[n:n]))[1];
        exception
          when program_limit_exceeded or out_of_memory or internal_error then
            if not quantumflow._is_oversized(sqlstate, quantumflow._leaf_bytes(v_ended[n])) then
              raise;
            end if;

            v_ended[n].output := null;
        end;
      end loop;
  end;

  return v_ended;
end
$_gather_outputs$;

comment on function quantumflow._gather_outputs(quantumflow._ended_run[]) is
'Adds the outputs of runs that have no step left; null where one cannot be one jsonb value.';

create function quantumflow._leaf_bytes(p_ended quantumflow._ended_run)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_leaf_bytes$
begin
  return (
    select sum(quantumflow._output_bytes(p_ended.run_id, w.step_slug))
    from quantumflow.workflow_steps w
    where (w.workflow_slug, w.version) = (p_ended.workflow_slug, p_ended.version)
      and w.dependents = '{}'
  );
end
$_leaf_bytes$;

comment on function quantumflow._leaf_bytes(quantumflow._ended_run) is
'How large the outputs of a run''s leaf steps are together.';

create function quantumflow._with_outputs(p_ended quantumflow._ended_run[])
returns quantumflow._ended_run[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_with_outputs$
begin
  return array(
    select row(k.run_id, o.output, k.workflow_slug, k.version)::quantumflow._ended_run
    from unnest(p_ended) k
    cross join lateral (
      select coalesce(jsonb_object_agg(s.step_slug, coalesce(s.output, t.output)), '{}') as output
      from quantumflow.workflow_steps w
      join quantumflow.step_states s
        on (s.run_id, s.step_slug) = (k.run_id, w.step_slug)
        and s.status = 'completed'
      left join quantumflow.step_tasks t
        on (t.run_id, t.step_slug, t.task_index) = (s.run_id, s.step_slug, 0)
      where (w.workflow_slug, w.version) = (k.workflow_slug, k.version)
        and w.dependents = '{}'
    ) o);
end
$_with_outputs$;

comment on function quantumflow._with_outputs(quantumflow._ended_run[]) is
'Adds each run''s output: an object with the output of each leaf step, maps as arrays in index order.';
