-- How results are written to their tasks: nearly all by one update that looks for nothing but the attempt, the rest after a closer look.

create function quantumflow._record_results(p_results jsonb, p_now timestamptz, p_by_hand boolean)
returns quantumflow._reported
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_results$
declare
  v_recorded quantumflow._recorded := quantumflow._record_ordinary(p_results, p_now);
  v_held     quantumflow._held_task[] := '{}';
  v_progress quantumflow._progress := quantumflow._progress_of(
    v_recorded.run_ids, v_recorded.step_slugs, null, v_recorded.ords, p_results);
begin
  if v_progress.has_shapes then
    v_recorded := quantumflow._without(v_recorded, quantumflow._put_misfits_back(p_results, v_recorded));
  end if;

  if cardinality(v_recorded.ords) < jsonb_array_length(p_results) then
    v_held := quantumflow._record_others(p_results, v_recorded.ords, p_now, p_by_hand);

    v_progress := quantumflow._progress_of(
      v_recorded.run_ids || quantumflow._runs_of(v_held),
      v_recorded.step_slugs || array(select h.step_slug from unnest(v_held) h where h.outcome in ('acts', 'violates', 'fails')),
      array_fill(true, array[cardinality(v_recorded.ords)])
        || array(select h.outcome = 'acts' from unnest(v_held) h where h.outcome in ('acts', 'violates', 'fails')));
  end if;

  return row(v_recorded, v_held, v_progress)::quantumflow._reported;
end
$_record_results$;

comment on function quantumflow._record_results(jsonb, timestamptz, boolean) is
'Writes results to their tasks, in order of their keys, waiting for each, and says what each result comes to, as the tasks were.

The update is the lock: to lock rows that are about to be written costs a record of the log each. Should a run turn out to have ended,
_cancel_late takes it back.';

create function quantumflow._record_ordinary(p_results jsonb, p_now timestamptz)
returns quantumflow._recorded
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_ordinary$
declare
  v_recorded   quantumflow._recorded;
  v_may_exceed boolean := quantumflow._may_exceed(p_results);
begin
  with recorded as (
    update quantumflow.step_tasks t
    set
      status = 'completed',
      output = coalesce(p_results -> k.ord -> 'output', 'null'),
      usage = k.usage,
      started_at = quantumflow._began_at(t.started_at, k.seconds, p_now),
      completed_at = p_now,
      error_message = null
    from (
        select *
        from quantumflow._parse_reports(p_results) p
        where not v_may_exceed
          and not p.is_odd
        order by p.run_id, p.step_slug, p.task_index, p.ord
        offset 0
      ) k
      cross join lateral (
        select l.ctid as tid, l.started_at
        from quantumflow.step_tasks l
        where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
        limit 1
      ) c
    where t.run_id is not distinct from k.run_id
      and t.ctid = c.tid
      and t.status = 'started'
      and t.lease_token::text = k.token
    returning k.ord, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id, c.started_at
  )
  select
    coalesce(array_agg(r.ord), '{}'),
    coalesce(array_agg(r.run_id), '{}'),
    coalesce(array_agg(r.step_slug), '{}'),
    coalesce(array_agg(r.task_index), '{}'),
    coalesce(array_agg(r.queue), '{}'),
    coalesce(array_agg(r.message_id), '{}'),
    coalesce(array_agg(r.started_at), '{}')
  into v_recorded
  from recorded r;

  return v_recorded;
end
$_record_ordinary$;

comment on function quantumflow._record_ordinary(jsonb, timestamptz) is
'Writes results to those of their tasks that are started, and whose lease they name, in order of their keys, waiting for each, and locks
no other. Of several results of one attempt the first is written.

What the steps ask of an output is not looked at, see _put_misfits_back. When one of the results may be too large none is written.';

create function quantumflow._put_misfits_back(p_results jsonb, p_recorded quantumflow._recorded)
returns int[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_put_misfits_back$
declare
  v_misfits int[];
begin
  select array_agg(k.ord)
  into v_misfits
  from unnest(p_recorded.ords, p_recorded.run_ids, p_recorded.step_slugs, p_recorded.task_indexes) k (ord, run_id, step_slug, task_index)
  cross join lateral (
    select l.workflow_slug, l.version
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r
  cross join lateral (
    select l.feeds_map, l.chunk_size
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, k.step_slug)
    limit 1
  ) w
  where not quantumflow._fits(
    w.feeds_map, w.chunk_size, k.run_id, k.step_slug, k.task_index, p_results -> k.ord -> 'output');

  if v_misfits is not null then
    update quantumflow.step_tasks t
    set
      status = 'started',
      output = null,
      usage = null,
      started_at = k.claimed_at,
      completed_at = null
    from unnest(p_recorded.ords, p_recorded.run_ids, p_recorded.step_slugs, p_recorded.task_indexes, p_recorded.claimed_at)
      k (ord, run_id, step_slug, task_index, claimed_at)
    cross join lateral (
      select l.ctid as tid
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      limit 1
    ) c
    where k.ord = any (v_misfits)
      and t.run_id is not distinct from k.run_id
      and t.ctid = c.tid;
  end if;

  return v_misfits;
end
$_put_misfits_back$;

comment on function quantumflow._put_misfits_back(jsonb, quantumflow._recorded) is
'Makes started again, as they were, those of the tasks just recorded whose output is not of the shape that its step asks for, so that the
closer look finds them; they stay locked. Returns which results these are, null for none.';

create function quantumflow._without(p_recorded quantumflow._recorded, p_ords int[])
returns quantumflow._recorded
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_without$
declare
  v_recorded quantumflow._recorded;
begin
  if p_ords is null then
    return p_recorded;
  end if;

  select
    coalesce(array_agg(r.ord), '{}'),
    coalesce(array_agg(r.run_id), '{}'),
    coalesce(array_agg(r.step_slug), '{}'),
    coalesce(array_agg(r.task_index), '{}'),
    coalesce(array_agg(r.queue), '{}'),
    coalesce(array_agg(r.message_id), '{}'),
    coalesce(array_agg(r.claimed_at), '{}')
  into v_recorded
  from unnest(
      p_recorded.ords, p_recorded.run_ids, p_recorded.step_slugs, p_recorded.task_indexes, p_recorded.queues, p_recorded.message_ids,
      p_recorded.claimed_at
    ) r (ord, run_id, step_slug, task_index, queue, message_id, claimed_at)
  where r.ord <> all (p_ords);

  return v_recorded;
end
$_without$;

comment on function quantumflow._without(quantumflow._recorded, int[]) is
'The recorded tasks but those of these results; all of them for null.';

create function quantumflow._record_others(p_results jsonb, p_recorded int[], p_now timestamptz, p_by_hand boolean)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_others$
declare
  v_held   quantumflow._held_task[] := array[]::quantumflow._held_task[];
  v_missed int[] := array(select n from generate_series(0, jsonb_array_length(p_results) - 1) n where n <> all (p_recorded));
  v_read   quantumflow._held_task[] := quantumflow._read_reported(p_results, 'complete', p_by_hand, v_missed);
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
$_record_others$;

comment on function quantumflow._record_others(jsonb, int[], timestamptz, boolean) is
'The closer look at the results that are not recorded yet: says what each comes to, and writes what acts, violates or fails, in order of
the tasks'' keys, waiting for each.';

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
      usage = case h.outcome when 'acts' then h.usage end,
      started_at = coalesce(quantumflow._began_at(h.started_at, h.seconds, p_now), p_now),
      completed_at = case h.outcome when 'acts' then p_now end,
      failed_at = case when h.outcome <> 'acts' then p_now end,
      error_message = case h.outcome
        when 'violates' then quantumflow._violation(p_results -> h.ord -> 'output', t.item_value)
        when 'fails' then quantumflow._excess(p_results -> h.ord -> 'output', true)
      end
    from unnest(p_held) h
    where h.outcome in ('acts', 'violates', 'fails')
      and t.run_id is not distinct from h.run_id
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
