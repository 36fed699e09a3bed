create function quantumflow.start_ready_steps(run_id uuid)
returns int
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
as $start_ready_steps$
declare
  v_run quantumflow.workflow_runs;
begin
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = start_ready_steps.run_id
  for no key update;

  if not found then
    perform quantumflow._raise_unknown_run(start_ready_steps.run_id);
  end if;

  if v_run.status <> 'started' then
    return 0;
  end if;

  return quantumflow._start_ready(v_run, quantumflow._now());
end
$start_ready_steps$;

comment on function quantumflow.start_ready_steps(uuid) is
'Starts the steps of a run whose dependencies are all done and that have not started. Returns how many it started.

The engine starts steps by itself when they become ready, so this finds something only after a pause or a repair by hand.
Safe to call at any time; does nothing for a run that is paused or over.

Errors: QF201 unknown run.';

create function quantumflow._start_ready(p_run quantumflow.workflow_runs, p_now timestamptz)
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
      row(s.run_id, s.step_slug, w.workflow_slug, w.version, w.step_type, w.dependents)::quantumflow._step_ref
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

  update quantumflow.step_states s
  set
    status = 'started',
    started_at = p_now
  from unnest(v_ready) k
  cross join lateral (
    select l.ctid as tid
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
    limit 1
  ) d
  where k.step_type = 'single'
    and s.ctid = d.tid;

  perform quantumflow._advance('{}', v_ready, p_now);

  return cardinality(v_ready);
end
$_start_ready$;

comment on function quantumflow._start_ready(quantumflow.workflow_runs, timestamptz) is
'Starts the steps of a run whose dependencies are all done and that have not started. Returns how many. The caller holds the run,
which is started.

Errors: QF401 a queue is gone; QF403 it is somebody else''s.';

create function quantumflow._raise_unknown_run(p_run_id uuid)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_raise_unknown_run$
begin
  raise exception 'run % does not exist', coalesce(p_run_id::text, 'null')
  using
    errcode = 'QF201',
    detail = 'No run has this id; it may have been deleted.',
    hint = 'select id, workflow_slug, status from quantumflow.workflow_runs order by id desc limit 20 shows the latest.';
end
$_raise_unknown_run$;

comment on function quantumflow._raise_unknown_run(uuid) is
'Raises QF201.

Errors: QF201 always.';
