create type quantumflow._start as (
  version      int,
  steps        int,
  maps_input   boolean,
  queues       text[],
  content_hash text
);

comment on type quantumflow._start is
'What a start must know of a version: how many steps count, whether some map over the run''s input, and the queues of those that wait for
nothing.';

create function quantumflow._start_runs(
  p_workflow_slug   text,
  p_version         int,
  p_run_ids         uuid[],
  p_inputs          jsonb[],
  p_priority        int,
  p_start_at        timestamptz,
  p_idempotency_key text,
  p_headers         jsonb,
  p_are_new         boolean)
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_runs$
declare
  v_now     timestamptz := quantumflow._now();
  v_version int;
  v_is_held boolean;
  v_start   quantumflow._start;
begin
  perform quantumflow._refuse_bad_start(p_priority, p_start_at, p_headers);
  perform quantumflow._record_identity();
  v_version := quantumflow._pick_version(p_workflow_slug, p_version);

  if cardinality(p_run_ids) > 0 then
    v_is_held := quantumflow._freeze_version(p_workflow_slug, v_version, p_run_ids[1], v_now);
  end if;

  v_start := quantumflow._read_start(p_workflow_slug, v_version);

  if cardinality(p_run_ids) = 0 then
    return array[]::uuid[];
  end if;

  if v_start.maps_input then
    perform quantumflow._refuse_non_arrays(p_workflow_slug, p_inputs);
  end if;
  perform quantumflow._refuse_large_inputs(p_inputs, p_headers, v_start.maps_input);
  perform quantumflow._refuse_unusable_queues(v_start.queues);

  -- A run that is not new may be there already.
  if not quantumflow._insert_runs(
    p_workflow_slug, v_start, p_run_ids, p_inputs, p_priority, p_start_at, p_idempotency_key, p_headers, p_are_new, v_now)
  then
    return array[]::uuid[];
  end if;

  if not v_is_held then
    perform quantumflow._refuse_deleted(p_workflow_slug, v_version, v_start.content_hash);
  end if;

  perform quantumflow._advance('{}', quantumflow._insert_steps(p_workflow_slug, v_version, p_run_ids, v_now), v_now);

  return p_run_ids;
end
$_start_runs$;

comment on function quantumflow._start_runs(text, int, uuid[], jsonb[], int, timestamptz, text, jsonb, boolean) is
'Starts one run per id and input, and returns the ids. Unless they are new, there is one, and it may exist already, or its
idempotency key: then it returns none.

Errors: QF111, QF112, QF203, QF204, QF205, QF208, QF210, QF217, QF401 as start_flow.';

create function quantumflow._freeze_version(p_workflow_slug text, p_version int, p_run_id uuid, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_freeze_version$
declare
  -- Under the other levels 40001 has to be raised if the version was changed since, and so the update has to be tried.
  v_can_wait boolean := not quantumflow._is_read_committed();
begin
  perform
  from quantumflow.workflow_versions v
  where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
    and v.frozen_at is null;

  if not found then
    return false;
  end if;

  -- Waits for whoever changes the version in place or deletes the workflow, and is waited for by whoever deletes it.
  perform
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug
  for key share;

  if not found then
    return false;
  end if;

  -- The row of the first step stands for the version's, which is to be updated without having been locked: that would leave a mark on the
  -- new row, as of somebody who deletes it (see _refuse_deleted).
  if v_can_wait then
    perform
    from quantumflow.workflow_steps s
    where (s.workflow_slug, s.version) = (p_workflow_slug, p_version)
      and s.step_index = 0
    for no key update;
  else
    perform
    from quantumflow.workflow_steps s
    where (s.workflow_slug, s.version) = (p_workflow_slug, p_version)
      and s.step_index = 0
    for no key update skip locked;
  end if;

  if found then
    update quantumflow.workflow_versions v
    set frozen_at = p_now
    where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
      and v.frozen_at is null;
  elsif quantumflow._is_unused(p_workflow_slug, p_version) then
    -- Somebody else is about to freeze it, and this is not to wait for what becomes of that.
    insert into quantumflow._first_runs (workflow_slug, version, run_id)
    values (p_workflow_slug, p_version, p_run_id);
  end if;

  return not v_can_wait;
end
$_freeze_version$;

comment on function quantumflow._freeze_version(text, int, uuid, timestamptz) is
'What the first run of a version does to it: nobody changes it in place any more. It waits for a definition that does so and, when
read committed, for no other start. True: until this transaction ends nobody deletes it either.';

create function quantumflow._read_start(p_workflow_slug text, p_version int)
returns quantumflow._start
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_start$
declare
  v_start quantumflow._start;
begin
  select
    p_version,
    count(*)::int,
    coalesce(bool_or(w.gathers and w.map_over is null), false),
    array_agg(distinct w.queue) filter (where w.dependencies = '{}'),
    (
      select v.content_hash
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
    )
  into v_start
  from quantumflow.workflow_steps w
  where (w.workflow_slug, w.version) = (p_workflow_slug, p_version)
    and w.counts;

  if v_start.steps = 0 then
    -- It may have been deleted since.
    perform quantumflow._pick_version(p_workflow_slug, p_version);

    raise exception 'workflow "%" has no steps', p_workflow_slug
    using
      errcode = 'QF203',
      detail = format('Its version %s is empty.', p_version),
      hint = 'Add steps with quantumflow.add_step() or quantumflow.define_flow().';
  end if;

  return v_start;
end
$_read_start$;

comment on function quantumflow._read_start(text, int) is
'What a start must know of a version.

Errors: QF111 unknown workflow; QF112 unknown version; QF203 the version has no steps.';

create function quantumflow._insert_runs(
  p_workflow_slug   text,
  p_start           quantumflow._start,
  p_run_ids         uuid[],
  p_inputs          jsonb[],
  p_priority        int,
  p_start_at        timestamptz,
  p_idempotency_key text,
  p_headers         jsonb,
  p_are_new         boolean,
  p_now             timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_insert_runs$
begin
  -- Two statements, because "on conflict" costs a record of the log for each run.
  if p_are_new then
    insert into quantumflow.workflow_runs
      (id, workflow_slug, version, status, input, remaining_steps, priority, headers, created_at, started_at)
    select
      u.run_id, p_workflow_slug, p_start.version, 'started', u.input, p_start.steps, p_priority, p_headers,
      p_now, greatest(p_now, p_start_at)
    from unnest(p_run_ids, p_inputs) u (run_id, input);
  else
    insert into quantumflow.workflow_runs
      (id, workflow_slug, version, status, input, remaining_steps, priority, headers, created_at, started_at, idempotency_key)
    select
      u.run_id, p_workflow_slug, p_start.version, 'started', u.input, p_start.steps, p_priority, p_headers,
      p_now, greatest(p_now, p_start_at), p_idempotency_key
    from unnest(p_run_ids, p_inputs) u (run_id, input)
    on conflict do nothing;
  end if;

  return found;
end
$_insert_runs$;

comment on function quantumflow._insert_runs(text, quantumflow._start, uuid[], jsonb[], int, timestamptz, text, jsonb, boolean, timestamptz) is
'Writes the rows of runs that start. False: there is one of that id or idempotency key.';

create function quantumflow._insert_steps(p_workflow_slug text, p_version int, p_run_ids uuid[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_insert_steps$
begin
  -- A step that waits for nothing, and is known to have tasks, is started as it is written.
  insert into quantumflow.step_states
    (run_id, step_slug, status, remaining_deps, remaining_tasks, initial_tasks, created_at, started_at)
  select
    u.run_id,
    w.step_slug,
    case when w.starts then 'started' else 'created' end,
    cardinality(w.dependencies),
    w.known_tasks,
    w.known_tasks,
    p_now,
    case when w.starts then p_now end
  from unnest(p_run_ids) u (run_id)
  cross join (
    select l.step_slug, l.dependencies, l.known_tasks, l.dependencies = '{}' and coalesce(l.known_tasks > 0, false) as starts
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version) = (p_workflow_slug, p_version)
      and l.counts
  ) w;

  return array(
    select row(u.run_id, w.step_slug, w.workflow_slug, w.version, coalesce(w.known_tasks > 0, false), w.dependents)::quantumflow._step_ref
    from unnest(p_run_ids) u (run_id)
    cross join quantumflow.workflow_steps w
    where (w.workflow_slug, w.version) = (p_workflow_slug, p_version)
      and w.counts
      and w.dependencies = '{}');
end
$_insert_steps$;

comment on function quantumflow._insert_steps(text, int, uuid[], timestamptz) is
'Writes the steps of runs that start, and returns those that are ready: they wait for nothing.';

create function quantumflow._refuse_deleted(p_workflow_slug text, p_version int, p_content text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_refuse_deleted$
begin
  -- Not locked, since every start would write that to the log. Whoever deletes the version marks its row first, and then looks for
  -- runs, and for transactions that have written to their table. This one has by now, and looks for the mark: one sees the other.
  perform
  from quantumflow.workflow_versions v
  where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
    and v.content_hash = p_content
    and v.frozen_at is not null
    and v.xmax = 0
    and quantumflow._is_read_committed();

  if found then
    return;
  end if;

  -- Somebody is deleting the version, or has; or the snapshot is older, and shows a row that is deleted: then this raises 40001.
  perform
  from quantumflow.workflow_versions v
  where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
    and v.content_hash = p_content
    and v.frozen_at is not null
  for key share;

  if not found then
    perform quantumflow._pick_version(p_workflow_slug, p_version);

    raise exception 'workflow "%" was deleted and defined anew', p_workflow_slug
    using
      errcode = 'serialization_failure',
      detail = 'That was while this call started a run of it.',
      hint = 'Nothing was changed. Call it again.';
  end if;
end
$_refuse_deleted$;

comment on function quantumflow._refuse_deleted(text, int, text) is
'Refuses a version that was deleted since its content was read, after waiting for whoever deletes it. To be called after runs were
inserted.

Errors: QF111 unknown workflow; QF112 unknown version; 40001 it was defined anew.';

create function quantumflow._pick_version(p_workflow_slug text, p_version int)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_pick_version$
declare
  v_current int;
begin
  select w.current_version
  into v_current
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug;

  if not found then
    raise exception 'workflow "%" does not exist', p_workflow_slug
    using
      errcode = 'QF111',
      detail = 'No workflow of that name is defined; names are case-sensitive.',
      hint = 'select * from quantumflow.list_flows() shows what is defined.';
  end if;

  if p_version is null then
    return v_current;
  end if;

  perform
  from quantumflow.workflow_versions v
  where (v.workflow_slug, v.version) = (p_workflow_slug, p_version);

  if not found then
    raise exception 'workflow "%" has no version %', p_workflow_slug, p_version
    using
      errcode = 'QF112',
      detail = format('Its current version is %s.', v_current),
      hint = 'Leave the version out to use the current one.';
  end if;

  return p_version;
end
$_pick_version$;

comment on function quantumflow._pick_version(text, int) is
'The version asked for, or the current one.

Errors: QF111 unknown workflow; QF112 unknown version.';
