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
  v_room   int := p_offer.free - cardinality(p_offer.taken);
  v_oldest timestamptz[];
  v_tasks  quantumflow._new_task[];
  v_limits boolean;
  v_flawed quantumflow._new_task[];
  v_queued quantumflow._queued;
begin
  if v_room > 0 then
    v_oldest := quantumflow._oldest_vts(p_offer.queues, p_offer.commands, p_now);
  end if;

  select
    array_agg(
      quantumflow._new_task_of(
        p_run_id => k.run_id,
        p_step_slug => k.step_slug,
        p_task_index => i.task_index,
        p_item_value => i.item_value,
        p_workflow_slug => k.workflow_slug,
        p_version => k.version,
        p_gathers => w.gathers,
        p_command => w.command,
        p_timeout => w.timeout,
        p_queue => w.queue,
        p_ready_at => d.ready_at,
        p_vt => v.vt,
        p_headers => r.headers,
        p_is_taken => coalesce(v_room, 0) > 0 and w.limit_name is null and r.status = 'started'
          and (p_offer.not_flows is null or k.workflow_slug <> all (p_offer.not_flows))
          and quantumflow._may_take(
          w.queue, w.command, d.ready_at, v.vt, p_offer.queues, p_offer.commands, v_oldest, p_now))),
    bool_or(w.limit_name is not null)
  into v_tasks, v_limits
  from unnest(p_steps) k
  cross join lateral (
    select l.started_at, l.priority, l.headers, l.retries, l.status
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r
  cross join lateral (
    select
      l.command, l.timeout, l.queue, l.start_delay, l.chunk_size, l.gathers, l.known_tasks, l.repeats, l.loop_delay, l.limit_name
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
    limit 1
  ) w
  cross join lateral (
    select greatest(p_now, r.started_at) + case when w.repeats and k.is_started then w.loop_delay else w.start_delay end as ready_at
  ) d
  cross join lateral (
    select 0 as task_index, null::jsonb as item_value
    where w.known_tasks > 0
    union all
    select s.initial_tasks - 1, null
    from (
      select l.initial_tasks
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      limit 1
    ) s
    where w.repeats
      and coalesce(p_first, 0) = 0
    union all
    select (e.n - 1)::int + coalesce(p_first, 0), e.item
    from jsonb_array_elements(quantumflow._map_items(k, p_first, p_last, 1)) with ordinality e (item, n)
    where w.gathers
      and w.chunk_size is null
    union all
    select ((e.n - 1) / w.chunk_size)::int + coalesce(p_first, 0), jsonb_agg(e.item order by e.n)
    from jsonb_array_elements(quantumflow._map_items(k, p_first, p_last, w.chunk_size)) with ordinality e (item, n)
    where w.chunk_size is not null
    group by 1
  ) i
  cross join lateral (
    select case
      -- Only a loop goes on in a paused run.
      when r.status = 'paused' then 'infinity'
      when d.ready_at > p_now then d.ready_at
      -- Not all of a large map at one moment, or a claim could not tell how far it had come: see _remember_front.
      else p_now - make_interval(secs => r.priority) + interval '1 us' * (i.task_index / 1000)
    end as vt
  ) v
  where case
    when r.retries > 0 then not exists (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.task_index) = (k.run_id, k.step_slug, i.task_index)
      offset 0
    )
    else true
  end;

  if v_limits then
    v_tasks := quantumflow._with_limits(v_tasks, p_now);
    v_flawed := array(select t from unnest(v_tasks) t where t.flaw is not null);
  end if;

  if v_flawed <> '{}' then
    v_tasks := array(select t from unnest(v_tasks) t where t.flaw is null);
  end if;

  if v_room > 0 and v_room < cardinality(v_tasks) then
    v_tasks := quantumflow._within_room(v_tasks, v_room);
  end if;

  v_queued := quantumflow._queue_tasks(v_tasks, p_offer, p_now);

  return row(
    null,
    v_queued.stranded || v_flawed,
    case when v_room > 0 then quantumflow._with_taken(p_offer, v_queued.taken, v_oldest) else p_offer end
  )::quantumflow._readied;
end
$_make_tasks$;

comment on function quantumflow._make_tasks(quantumflow._step_ref[], int, int, timestamptz, quantumflow._offer) is
'Makes the tasks of steps; of maps only those from p_first to p_last, unless these are null; of a loop the last of its iterations, which it has not yet. Returns what has no
queue, or whose limit has no key, and the offer with those that were handed over.';

create function quantumflow._fail_stranded(p_tasks quantumflow._new_task[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_stranded$
begin
  if exists (select from unnest(p_tasks) t where t.flaw is not null) then
    perform quantumflow._record_flaws(p_tasks, p_now);
  end if;

  return quantumflow._fail_steps(
    array(
      select row(
        k.run_id, k.step_slug, k.workflow_slug, k.version, null, coalesce(k.flaw, quantumflow._why_stranded(k.queue))
      )::quantumflow._failed_step
      from (
        select t.run_id, t.step_slug, t.workflow_slug, t.version, t.queue, min(t.flaw) as flaw
        from unnest(p_tasks) t
        group by t.run_id, t.step_slug, t.workflow_slug, t.version, t.queue
      ) k
      order by k.run_id, k.step_slug),
    p_now);
end
$_fail_stranded$;

comment on function quantumflow._fail_stranded(quantumflow._new_task[], timestamptz) is
'Fails the steps of tasks that have no queue, or whose limit has no key, and their runs, and returns those without which theirs go on. To raise instead would refuse a
report that has nothing to do with it, for ever, and with it whatever it came with.';

create function quantumflow._record_flaws(p_tasks quantumflow._new_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_flaws$
begin
  insert into quantumflow.task_failures
    (run_id, step_slug, task_index, retries, attempt, kind, ended_at, error_message, reported)
  select k.run_id, k.step_slug, k.task_index, r.retries, 0, 'condition', p_now, k.flaw, false
  from (
    select distinct on (t.run_id, t.step_slug) t.run_id, t.step_slug, t.task_index, t.flaw
    from unnest(p_tasks) t
    where t.flaw is not null
    order by t.run_id, t.step_slug, t.task_index
  ) k
  cross join lateral (
    select l.retries
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r;
end
$_record_flaws$;

comment on function quantumflow._record_flaws(quantumflow._new_task[], timestamptz) is
'Writes to the history which tasks could not be made, since their limit has no key: of each step the first, as attempt 0.';

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
