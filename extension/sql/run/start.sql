create function quantumflow.start_flow(
  workflow_slug   text,
  input           jsonb default '{}',
  run_id          uuid default null,
  priority        int default 0,
  start_at        timestamptz default null,
  idempotency_key text default null,
  headers         jsonb default null,
  version         int default null)
returns uuid
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
as $start_flow$
declare
  v_run_id uuid := coalesce(start_flow.run_id, quantumflow._uuid_v7());
  v_found  uuid := quantumflow._run_of_key(start_flow.workflow_slug, start_flow.idempotency_key);
begin
  -- Before anything is refused: the same request again is no new run, and need not be able to become one.
  if v_found is not null then
    return v_found;
  end if;
  if length(start_flow.idempotency_key) not between 1 and 255 then
    raise exception 'idempotency key is not valid'
    using
      errcode = 'QF206',
      detail = format('It has %s characters.', length(start_flow.idempotency_key)),
      hint = 'Use 1 to 255 characters, a hash of something longer for example.';
  end if;

  v_found := (quantumflow._start_runs(
    start_flow.workflow_slug, start_flow.version, array[v_run_id], array[coalesce(start_flow.input, '{}')],
    start_flow.priority, start_flow.start_at, start_flow.idempotency_key, start_flow.headers,
    start_flow.run_id is null and start_flow.idempotency_key is null))[1];

  -- Somebody else may have started it in between.
  v_found := coalesce(v_found, quantumflow._run_of_key(start_flow.workflow_slug, start_flow.idempotency_key));

  if v_found is null then
    raise exception 'run % exists already', v_run_id
    using
      errcode = 'QF202',
      detail = 'A run_id may be used once.',
      hint = 'Leave run_id out, or pass an idempotency_key to get the same run for the same request.';
  end if;

  return v_found;
end
$start_flow$;

comment on function quantumflow.start_flow(text, jsonb, uuid, int, timestamptz, text, jsonb, int) is
'Starts a run of a workflow and returns its id. The run''s first tasks can be claimed when the transaction has committed.

input: any JSON, {} when left out; an array where the workflow maps over it.
run_id: the id to use; made when left out.
priority: seconds by which the run''s tasks overtake those of priority 0; 0 or more.
start_at: the first steps wait until then; a moment in the past is now.
idempotency_key: unique within the workflow; the same key again returns the same run, whatever else is passed.
headers: an object that travels with every message of the run.
version: the version to run; the current one when left out. The first run of a version freezes it.

Errors: QF111 unknown workflow; QF112 unknown version; QF202 run_id is taken; QF203 the version has no steps; QF204 the
workflow maps over its input and the input is no array; QF205 negative priority; QF206 bad idempotency_key; QF208 headers is no
object; QF210 start_at is not a moment before the year 9999; QF217 input or headers are too large; QF401 a queue is gone.';

create function quantumflow._run_of_key(p_workflow_slug text, p_idempotency_key text)
returns uuid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_run_of_key$
begin
  if p_idempotency_key is null then
    return null;
  end if;

  return (
    select r.id
    from quantumflow.workflow_runs r
    where r.workflow_slug = p_workflow_slug
      and r.idempotency_key = p_idempotency_key
  );
end
$_run_of_key$;

comment on function quantumflow._run_of_key(text, text) is
'The run that was started with an idempotency key; null when there is none.';

create function quantumflow.start_flows(workflow_slug text, inputs jsonb[], priority int default 0)
returns setof uuid
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
as $start_flows$
declare
  v_run_ids uuid[];
  v_inputs  jsonb[];
begin
  select array_agg(quantumflow._uuid_v7() order by i.n), array_agg(coalesce(i.input, '{}') order by i.n)
  into v_run_ids, v_inputs
  from unnest(start_flows.inputs) with ordinality i (input, n);

  v_run_ids := quantumflow._start_runs(
    start_flows.workflow_slug, null, coalesce(v_run_ids, '{}'), coalesce(v_inputs, '{}'),
    start_flows.priority, null, null, null, true);

  return query
  select u.run_id
  from unnest(v_run_ids) u (run_id);
end
$start_flows$;

comment on function quantumflow.start_flows(text, jsonb[], int) is
'Starts a run per input, in one transaction and a handful of statements, and returns their ids in the order of the inputs.

Errors: QF111 unknown workflow; QF203 the version has no steps; QF204 the workflow maps over its input and an input is no array;
QF205 negative priority; QF217 an input is too large; QF401 a queue is gone.';

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
  v_now        timestamptz := quantumflow._now();
  v_version    int;
  v_content    text;
  v_steps      int;
  v_maps_input boolean;
  v_queues     text[];
  v_ready      quantumflow._step_ref[];
begin
  perform quantumflow._refuse_bad_start(p_priority, p_start_at, p_headers);
  perform quantumflow._record_identity();
  v_version := quantumflow._pick_version(p_workflow_slug, p_version);

  -- The first run freezes the version: it waits for a definition that changes it in place, and such a one for this transaction.
  if cardinality(p_run_ids) > 0 then
    update quantumflow.workflow_versions v
    set frozen_at = v_now
    where (v.workflow_slug, v.version) = (p_workflow_slug, v_version)
      and v.frozen_at is null;
  end if;

  select
    count(*)::int,
    coalesce(bool_or(w.step_type = 'map' and w.map_over is null), false),
    array_agg(distinct w.queue) filter (where w.dependencies = '{}'),
    (
      select v.content_hash
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (p_workflow_slug, v_version)
    )
  into v_steps, v_maps_input, v_queues, v_content
  from quantumflow.workflow_steps w
  where (w.workflow_slug, w.version) = (p_workflow_slug, v_version)
    and w.step_type <> 'callback';

  if v_steps = 0 then
    -- It may have been deleted since.
    perform quantumflow._pick_version(p_workflow_slug, v_version);

    raise exception 'workflow "%" has no steps', p_workflow_slug
    using
      errcode = 'QF203',
      detail = format('Its version %s is empty.', v_version),
      hint = 'Add steps with quantumflow.add_step() or quantumflow.define_flow().';
  end if;

  if cardinality(p_run_ids) = 0 then
    return array[]::uuid[];
  end if;

  if v_maps_input then
    perform quantumflow._refuse_non_arrays(p_workflow_slug, p_inputs);
  end if;
  perform quantumflow._refuse_large_inputs(p_inputs, p_headers, v_maps_input);
  perform quantumflow._refuse_unusable_queues(v_queues);

  if p_are_new then
    -- Not ready for a conflict, which would cost a record of the log for each run.
    insert into quantumflow.workflow_runs
      (id, workflow_slug, version, status, input, remaining_steps, priority, headers, created_at, started_at)
    select
      u.run_id, p_workflow_slug, v_version, 'started', u.input, v_steps, p_priority, p_headers, v_now, greatest(v_now, p_start_at)
    from unnest(p_run_ids, p_inputs) u (run_id, input);
  else
    insert into quantumflow.workflow_runs
      (id, workflow_slug, version, status, input, remaining_steps, priority, headers, idempotency_key, created_at, started_at)
    values
      (p_run_ids[1], p_workflow_slug, v_version, 'started', p_inputs[1], v_steps, p_priority, p_headers, p_idempotency_key,
       v_now, greatest(v_now, p_start_at))
    on conflict do nothing;

    if not found then
      return array[]::uuid[];
    end if;
  end if;

  perform quantumflow._refuse_deleted(p_workflow_slug, v_version, v_content);

  -- A single step that waits for nothing is written as started at once.
  insert into quantumflow.step_states
    (run_id, step_slug, status, remaining_deps, remaining_tasks, initial_tasks, created_at, started_at)
  select
    u.run_id,
    w.step_slug,
    case when w.step_type = 'single' and w.dependencies = '{}' then 'started' else 'created' end,
    cardinality(w.dependencies),
    case w.step_type when 'single' then 1 end,
    case w.step_type when 'single' then 1 end,
    v_now,
    case when w.step_type = 'single' and w.dependencies = '{}' then v_now end
  from unnest(p_run_ids) u (run_id)
  cross join quantumflow.workflow_steps w
  where (w.workflow_slug, w.version) = (p_workflow_slug, v_version)
    and w.step_type <> 'callback';

  select array_agg(
    row(u.run_id, w.step_slug, w.workflow_slug, w.version, w.step_type, w.dependents)::quantumflow._step_ref)
  into v_ready
  from unnest(p_run_ids) u (run_id)
  cross join quantumflow.workflow_steps w
  where (w.workflow_slug, w.version) = (p_workflow_slug, v_version)
    and w.step_type <> 'callback'
    and w.dependencies = '{}';

  perform quantumflow._advance('{}', v_ready, v_now);

  return p_run_ids;
end
$_start_runs$;

comment on function quantumflow._start_runs(text, int, uuid[], jsonb[], int, timestamptz, text, jsonb, boolean) is
'Starts one run per id and input, and returns the ids. Unless they are new, there is one, and it may exist already, or its
idempotency key: then it returns none.

Errors: QF111, QF112, QF203, QF204, QF205, QF208, QF210, QF217, QF401 as start_flow.';

create function quantumflow._refuse_deleted(p_workflow_slug text, p_version int, p_content text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_refuse_deleted$
begin
  -- No lock, which every start would write to the log: who deletes the version has put his number on its row before he looked for
  -- runs and for who writes to their table, as this transaction has by now. So one of the two sees the other.
  perform
  from quantumflow.workflow_versions v
  where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
    and v.content_hash = p_content
    and v.frozen_at is not null
    and v.xmax = 0
    and current_setting('transaction_isolation') in ('read committed', 'read uncommitted');

  if found then
    return;
  end if;

  -- Somebody has, or had; or the snapshot is an older one, under which a deleted row still shows: then this raises 40001.
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

create function quantumflow._refuse_bad_start(p_priority int, p_start_at timestamptz, p_headers jsonb)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_start$
begin
  if p_priority is null or p_priority < 0 then
    raise exception 'priority must not be negative'
    using
      errcode = 'QF205',
      detail = format('The priority is %s.', coalesce(p_priority::text, 'null')),
      hint = 'Leave it out for 0; a higher number overtakes by as many seconds.';
  end if;

  if not isfinite(p_start_at) or p_start_at >= '9999-01-01 00:00:00+00' then
    raise exception 'start_at must be a moment before the year 9999'
    using
      errcode = 'QF210',
      detail = format('It is %s.', p_start_at),
      hint = 'Leave it out to start at once.';
  end if;

  if jsonb_typeof(p_headers) <> 'object' then
    raise exception 'headers must be a JSON object'
    using
      errcode = 'QF208',
      detail = format('It is JSON of type %s.', jsonb_typeof(p_headers)),
      hint = 'For example {"traceparent": "00-..."}.';
  end if;
end
$_refuse_bad_start$;

comment on function quantumflow._refuse_bad_start(int, timestamptz, jsonb) is
'Refuses arguments with which no run can start.

Errors: QF205 negative priority; QF208 headers is no object; QF210 start_at is not a moment before the year 9999.';

create function quantumflow._refuse_non_arrays(p_workflow_slug text, p_inputs jsonb[])
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_non_arrays$
declare
  v_bad record;
begin
  select jsonb_typeof(i.input) as type, i.n
  into v_bad
  from unnest(p_inputs) with ordinality i (input, n)
  where jsonb_typeof(i.input) <> 'array'
  order by i.n
  limit 1;

  if found then
    raise exception 'workflow "%" maps over its input, which must be an array', p_workflow_slug
    using
      errcode = 'QF204',
      detail = format('Input %s is JSON of type %s.', v_bad.n, v_bad.type),
      hint = 'Pass an array: one task is made per element.';
  end if;
end
$_refuse_non_arrays$;

comment on function quantumflow._refuse_non_arrays(text, jsonb[]) is
'Refuses inputs that a map step could not map over.

Errors: QF204 when one is no array.';

create function quantumflow._refuse_large_inputs(p_inputs jsonb[], p_headers jsonb, p_are_mapped boolean)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_large_inputs$
declare
  v_max_bytes bigint;
  v_max_items bigint;
  v_fact      text;
begin
  -- No limit can be lower than 1000.
  if p_headers is null and pg_column_size(p_inputs) <= 1000 then
    return;
  end if;

  v_max_bytes := quantumflow._limit('max_input_bytes');
  v_max_items := case when p_are_mapped then quantumflow._limit('max_map_items') end;

  if p_headers is not null and quantumflow._bytes(p_headers) > quantumflow._limit('max_headers_bytes') then
    v_fact := format(
      'headers have %s bytes, and %s are allowed', quantumflow._bytes(p_headers), quantumflow._limit('max_headers_bytes'));

  -- One by one only where there are enough bytes for one to exceed a limit; an item has four at least.
  elsif pg_column_size(p_inputs) > least(v_max_bytes, 4 * v_max_items) then
    select
      case
        when quantumflow._bytes(i.input) > v_max_bytes
        then format('input %s has %s bytes, and %s are allowed', i.n, quantumflow._bytes(i.input), v_max_bytes)
        else format('input %s has %s items, and a map may have %s', i.n, jsonb_array_length(i.input), v_max_items)
      end
    into v_fact
    from unnest(p_inputs) with ordinality i (input, n)
    where quantumflow._bytes(i.input) > v_max_bytes
      or (p_are_mapped and jsonb_array_length(i.input) > v_max_items)
    order by i.n
    limit 1;
  end if;

  if v_fact is not null then
    raise exception '%', v_fact
    using
      errcode = 'QF217',
      detail = 'Nothing was started.',
      hint = 'Pass a reference to what is large; quantumflow.configure() sets max_input_bytes, max_headers_bytes and max_map_items.';
  end if;
end
$_refuse_large_inputs$;

comment on function quantumflow._refuse_large_inputs(jsonb[], jsonb, boolean) is
'Refuses inputs over max_input_bytes, headers over max_headers_bytes, and inputs that a map would make more than max_map_items tasks of.

Errors: QF217 when one is too large.';
