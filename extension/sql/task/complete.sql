create type quantumflow._completion as (
  held  quantumflow._held_task[],
  offer quantumflow._offer
);

comment on type quantumflow._completion is
'What became of reported results, and the offer of the worker that reported them with the tasks that it was given.';

create function quantumflow.complete_task(
  run_id      uuid,
  step_slug   text,
  task_index  int default 0,
  output      jsonb default null,
  lease_token bigint default null)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $complete_task$
declare
  v_done quantumflow._completion;
begin
  v_done := quantumflow._complete(
    jsonb_build_array(jsonb_build_object(
      'run_id', complete_task.run_id,
      'step_slug', complete_task.step_slug,
      'task_index', complete_task.task_index,
      'lease_token', complete_task.lease_token,
      'output', complete_task.output)),
    quantumflow._now(), null, p_by_hand => true);

  return quantumflow._answer_by_hand(v_done.held, 'completed', complete_task.lease_token);
end
$complete_task$;

comment on function quantumflow.complete_task(uuid, text, int, jsonb, bigint) is
'Completes a task by hand: complete_tasks with one result. Returns its outcome.

Without a lease_token it acts on whatever attempt is live, a queued task too, and the server''s log says who did it.

Errors: none of its own; a task that does not exist is "stale".';

create function quantumflow.complete_tasks(results jsonb)
returns setof quantumflow.task_outcome
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $complete_tasks$
declare
  v_done quantumflow._completion;
begin
  v_done := quantumflow._complete(
    quantumflow._checked_array(complete_tasks.results, 'results'), quantumflow._now(), null);

  return query
  select *
  from quantumflow._answers(v_done.held, 'completed');
end
$complete_tasks$;

comment on function quantumflow.complete_tasks(jsonb) is
'Reports tasks as done, any number of them, of any runs, in one set of statements.

results: an array of {"run_id", "step_slug", "task_index", "lease_token", "output"}. One bad result never spoils the others.
A result without a lease_token is stale: by hand there is complete_task.

Returns a row per result, in order, with its outcome:
completed: recorded, and whatever waited for it has started. type_violation: a map maps over this output and it is no array; the
task and its run failed. failed: the output is too large, see configure(); the task failed without another attempt, and its run, with
QF309 in error_message. duplicate: this attempt has reported before; nothing changed. stale: the lease is somebody else''s by now,
or there is no such task; nothing changed. run_ended: the run was over first, and the result is not kept.

A step that would start and whose queue is gone fails with that reason, and its run with it.

Errors: QF301 results is no array. A report never raises for a race it lost.';

create function quantumflow._complete(
  p_results jsonb,
  p_now     timestamptz,
  p_offer   quantumflow._offer,
  p_by_hand boolean default false)
returns quantumflow._completion
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_complete$
declare
  v_held  quantumflow._held_task[];
  v_steps quantumflow._step_progress[];
  v_mode  text;
  v_offer quantumflow._offer;
begin
  -- Lock: the tasks, which are written at once, their steps, their runs.
  v_held := quantumflow._record_results(p_results, p_now, p_by_hand);
  v_steps := quantumflow._hold_steps(v_held);

  select case
    when bool_or(h.outcome in ('violates', 'fails')) then 'update'
    when exists (select from unnest(v_steps) s where s.ends) then 'no key update'
    else 'key share'
  end
  into v_mode
  from unnest(v_held) h;

  v_held := quantumflow._hold_runs(v_held, v_mode);

  -- Change: what came too late, then steps, what they lead to, messages.
  if exists (select from unnest(v_held) h where h.outcome = 'run_ended') then
    perform quantumflow._cancel_late(v_held);
    v_steps := quantumflow._without_ended_runs(v_steps);
  end if;

  v_offer := quantumflow._advance(quantumflow._count_done_tasks(v_steps, p_now), '{}', p_now, p_offer);
  perform quantumflow._remove_reported(v_held, array['acts', 'violates', 'fails']);

  if v_mode = 'update' then
    perform quantumflow._fail_violations(v_held, p_now);
  end if;

  return row(v_held, v_offer)::quantumflow._completion;
end
$_complete$;

comment on function quantumflow._complete(jsonb, timestamptz, quantumflow._offer, boolean) is
'What complete_tasks does: records results, moves their runs on, and hands what becomes ready over to the worker that has made an
offer, if any. Returns that offer with what was taken, and what became of each result.';

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
      k.run_id, k.step_slug, s.tid, k.workflow_slug, k.version, k.step_type, w.dependents, k.done_tasks,
      k.done_tasks > 0 and k.done_tasks = s.remaining_tasks
    )::quantumflow._step_progress)
  into v_steps
  from (
    select
      h.run_id, h.step_slug, h.workflow_slug, h.version, h.step_type,
      (count(*) filter (where h.outcome = 'acts'))::int as done_tasks
    from unnest(p_held) h
    where h.outcome in ('acts', 'violates', 'fails')
      and h.step_type <> 'callback'
    group by h.run_id, h.step_slug, h.workflow_slug, h.version, h.step_type
    order by h.run_id, h.step_slug
    offset 0
  ) k
  left join lateral (
    select l.ctid as tid, l.remaining_tasks
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      and k.step_type = 'map'
    for no key update
  ) m on true
  -- The only task of a single step is held, and nobody else moves the step of a task that is live.
  cross join lateral (
    select coalesce(m.tid, l.ctid) as tid, coalesce(m.remaining_tasks, 1) as remaining_tasks
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
    limit 1
  ) s
  cross join lateral (
    select l.dependents
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
    limit 1
  ) w;

  return coalesce(v_steps, '{}');
end
$_hold_steps$;

comment on function quantumflow._hold_steps(quantumflow._held_task[]) is
'Locks the maps of the tasks that act, in order of their keys, waiting for each, and tells which of the steps this call ends.';

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
    ));
end
$_without_ended_runs$;

comment on function quantumflow._without_ended_runs(quantumflow._step_progress[]) is
'Leaves out the steps of runs that ended before this call got hold of them.';

create function quantumflow._record_results(p_results jsonb, p_now timestamptz, p_by_hand boolean)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_results$
declare
  v_held   quantumflow._held_task[] := array[]::quantumflow._held_task[];
  v_read   quantumflow._held_task[] := quantumflow._read_reported(p_results, 'complete', p_by_hand);
  v_missed int[];
begin
  -- Nearly always one turn; another for tasks that somebody changed while this call waited for them, or that were named twice.
  loop
    v_missed := quantumflow._record_outputs(p_results, v_read, p_now);

    exit when v_missed is null;

    v_held := v_held || array(select r from unnest(v_read) r where r.ord <> all (v_missed));
    v_read := quantumflow._read_reported(p_results, 'complete', p_by_hand, v_missed);
  end loop;

  return v_held || v_read;
end
$_record_results$;

comment on function quantumflow._record_results(jsonb, timestamptz, boolean) is
'Writes results to their tasks, in order of their keys, waiting for each, and says what each result comes to, as the tasks were.

The update is the lock: to lock rows that are about to be written costs a record of the log each. Should a run turn out to have ended,
_cancel_late takes it back.';

create function quantumflow._record_outputs(p_results jsonb, p_held quantumflow._held_task[], p_now timestamptz)
returns int[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_outputs$
declare
  v_recorded int[];
  v_missed   int[];
begin
  with recorded as (
    update quantumflow.step_tasks t
    set
      status = case h.outcome when 'acts' then 'completed' else 'failed' end,
      attempts = h.attempts + (h.outcome <> 'acts' and h.status = 'queued')::int,
      output = case when h.outcome <> 'fails' then coalesce(p_results -> h.ord -> 'output', 'null') end,
      started_at = coalesce(t.started_at, p_now),
      completed_at = case h.outcome when 'acts' then p_now end,
      failed_at = case when h.outcome <> 'acts' then p_now end,
      error_message = case h.outcome
        when 'violates' then quantumflow._violation(
          p_results -> h.ord -> 'output', case h.step_type when 'map' then t.item_value end)
        when 'fails' then quantumflow._excess(p_results -> h.ord -> 'output', true)
      end
    from unnest(p_held) h
    where h.outcome in ('acts', 'violates', 'fails')
      and t.ctid = h.tid
      and t.status = h.status
      and t.message_id = h.message_id
      and t.attempts = h.attempts
      and t.lease_token is not distinct from h.lease_token
    returning h.ord
  )
  select array_agg(r.ord)
  into v_recorded
  from recorded r;

  if cardinality(v_recorded) = cardinality(p_held) then
    return null;
  end if;

  select array_agg(h.ord)
  into v_missed
  from unnest(p_held) h
  where h.outcome in ('acts', 'violates', 'fails')
    and (h.ord = any (v_recorded)) is not true;

  return v_missed;
end
$_record_outputs$;

comment on function quantumflow._record_outputs(jsonb, quantumflow._held_task[], timestamptz) is
'Writes what tasks were completed with, unless they have changed since they were read; returns which results those are, null for none.
A second result for a task is one of them: by then the first has changed it.
An output that offends a map is kept on its failed task, one too large is not.

Such an output given by hand to a queued task counts as an attempt, as failing it by hand does.';

create function quantumflow._violation(p_output jsonb, p_items jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_violation$
begin
  return format(
    'the output must be %s, but is %s (QF305)',
    case
      when p_items is null then 'an array, because a map maps over it'
      else format('an array of %s, one for each item of the chunk', jsonb_array_length(p_items))
    end,
    case
      when jsonb_typeof(p_output) = 'array' then format('one of %s', jsonb_array_length(p_output))
      else 'JSON of type ' || coalesce(jsonb_typeof(p_output), 'null')
    end);
end
$_violation$;

comment on function quantumflow._violation(jsonb, jsonb) is
'The error message of a type violation; p_items is the chunk of a map task, null for a single step.';

create function quantumflow._excess(p_output jsonb, p_is_mapped boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_excess$
declare
  v_bytes bigint := quantumflow._bytes(p_output);
  v_items int := case when p_is_mapped and jsonb_typeof(p_output) = 'array' then jsonb_array_length(p_output) end;
begin
  return case
    when v_bytes > quantumflow._limit('max_output_bytes')
    then format('the output has %s bytes, and %s are allowed (QF309)', v_bytes, quantumflow._limit('max_output_bytes'))
    when v_items > quantumflow._limit('max_map_items')
    then format('the output has %s items, and a map may have %s (QF309)', v_items, quantumflow._limit('max_map_items'))
  end;
end
$_excess$;

comment on function quantumflow._excess(jsonb, boolean) is
'The error message of an output that exceeds a limit; null when it exceeds none. p_is_mapped: a map maps over it.';

create function quantumflow._may_exceed(p_results jsonb)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_may_exceed$
declare
  v_bytes bigint := quantumflow._bytes(p_results);
begin
  -- No limit can be lower than 1000, and an item has four bytes at least.
  if v_bytes <= 1000 then
    return false;
  end if;

  return v_bytes > (
    select min(coalesce(s.value::bigint, l.usual) * case l.name when 'max_map_items' then 4 else 1 end)
    from quantumflow._limits() l
    left join quantumflow.settings s
      on s.name = l.name
    where l.name in ('max_output_bytes', 'max_map_items'));
end
$_may_exceed$;

comment on function quantumflow._may_exceed(jsonb) is
'Whether results are so large together that the output of one may exceed a limit.';

create function quantumflow._fail_violations(p_held quantumflow._held_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_violations$
declare
  v_task record;
begin
  for v_task in
    select h.*, h as held, t.error_message
    from unnest(p_held) h
    cross join lateral (
      select l.error_message
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (h.run_id, h.step_slug, h.task_index)
      limit 1
    ) t
    where h.outcome in ('violates', 'fails')
    order by h.run_id, h.step_slug
  loop
    perform quantumflow._record_failure(v_task.held, 'error', v_task.error_message, null, p_now);

    if v_task.step_type <> 'callback' then
      perform quantumflow._fail_step(
        v_task.run_id, v_task.step_slug, v_task.task_index, v_task.step_type, v_task.error_message, p_now);
    end if;
  end loop;
end
$_fail_violations$;

comment on function quantumflow._fail_violations(quantumflow._held_task[], timestamptz) is
'Fails the runs in which an output offends a map or is too large, attempts left or not: the same handler would return the same.';

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
      and not (k.ends and k.step_type = 'map')
      and s.ctid = k.tid
    returning k.*
  )
  select coalesce(
    array_agg(
      row(c.run_id, c.step_slug, c.workflow_slug, c.version, c.step_type, c.dependents)::quantumflow._step_ref
    ) filter (where c.ends),
    '{}')
  into v_done
  from counted c;

  -- A loop, because each array is gathered, and may prove too large, by itself.
  for v_step in
    select k.*
    from unnest(p_steps) k
    where k.ends
      and k.step_type = 'map'
  loop
    if quantumflow._end_map(v_step.run_id, v_step.step_slug, v_step.done_tasks, p_now) then
      v_done := v_done || row(
        v_step.run_id, v_step.step_slug, v_step.workflow_slug, v_step.version, v_step.step_type, v_step.dependents
      )::quantumflow._step_ref;
    end if;
  end loop;

  return v_done;
end
$_count_done_tasks$;

comment on function quantumflow._count_done_tasks(quantumflow._step_progress[], timestamptz) is
'Takes completed tasks off their steps'' counters, finishes the steps that have none left, and returns those.';

create function quantumflow._end_map(p_run_id uuid, p_step_slug text, p_done_tasks int, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_map$
declare
  v_output jsonb;
  v_status text;
begin
  begin
    v_output := quantumflow._gather_map(p_run_id, p_step_slug);
  exception
    when program_limit_exceeded or out_of_memory or internal_error then
      if not quantumflow._is_oversized(sqlstate, quantumflow._output_bytes(p_run_id, p_step_slug)) then
        raise;
      end if;

      v_output := null;
  end;

  update quantumflow.step_states s
  set
    remaining_tasks = s.remaining_tasks - p_done_tasks,
    status = case when v_output is null or s.status <> 'started' then s.status else 'completed' end,
    completed_at = case when v_output is not null and s.status = 'started' then p_now end,
    output = case when s.status = 'started' then v_output end
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
  returning s.status
  into v_status;

  if v_output is null then
    -- Raising instead would wedge whoever reports last, for ever.
    perform quantumflow._fail_step(
      p_run_id, p_step_slug, null, 'map', 'its outputs exceed what one jsonb array can hold (QF306)', p_now);
  end if;

  return v_status = 'completed';
end
$_end_map$;

comment on function quantumflow._end_map(uuid, text, int, timestamptz) is
'Completes a map, and says whether it is: its output is its tasks'' outputs as an array in index order, nulls kept.

Outputs too large for one jsonb value (256 MB) fail the step and the run instead, with QF306 in error_message.';

create function quantumflow._output_bytes(p_run_id uuid, p_step_slug text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_output_bytes$
begin
  return (
    select sum(quantumflow._bytes(t.output))
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
  );
end
$_output_bytes$;

comment on function quantumflow._output_bytes(uuid, text) is
'How large the outputs of a step''s tasks are together.';

create function quantumflow._gather_map(p_run_id uuid, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_gather_map$
declare
  v_in_chunks boolean;
  v_output    jsonb;
begin
  select w.chunk_size is not null
  into v_in_chunks
  from quantumflow.workflow_runs r
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, p_step_slug)
  where r.id = p_run_id;

  if v_in_chunks then
    select jsonb_agg(e.output order by t.task_index, e.n)
    into v_output
    from quantumflow.step_tasks t
    cross join jsonb_array_elements(case jsonb_typeof(t.output) when 'array' then t.output end) with ordinality e (output, n)
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug);
  else
    select jsonb_agg(t.output order by t.task_index)
    into v_output
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug);
  end if;

  return v_output;
end
$_gather_map$;

comment on function quantumflow._gather_map(uuid, text) is
'The outputs of a map''s items as an array in index order, nulls kept. Raises 54000 when that is too large for a jsonb value.';
