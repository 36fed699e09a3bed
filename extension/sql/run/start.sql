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
as $start_flow$
declare
  v_run_id uuid := coalesce(start_flow.run_id, quantumflow._uuid_v7());
  v_found  uuid;
begin
  -- Before anything is refused: a request that comes again gets its run, even if no run could be started by now.
  if start_flow.idempotency_key is not null then
    v_found := quantumflow._run_of_key(start_flow.workflow_slug, start_flow.idempotency_key);

    -- But the runs of schedules are told to nobody who guesses their keys.
    if v_found is not null and not starts_with(start_flow.idempotency_key, '_schedule:') then
      return v_found;
    end if;

    perform quantumflow._refuse_bad_key(start_flow.idempotency_key);
  end if;

  v_found := (quantumflow._start_runs(
    start_flow.workflow_slug, start_flow.version, array[v_run_id], array[coalesce(start_flow.input, '{}')],
    start_flow.priority, start_flow.start_at, start_flow.idempotency_key, start_flow.headers,
    start_flow.run_id is null and start_flow.idempotency_key is null))[1];

  if start_flow.run_id is not null and v_found is not null then
    perform quantumflow._note_odd_id(v_run_id);
  end if;

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
idempotency_key: unique within the workflow; the same key again returns the same run, whatever else is passed. It may not begin with an
underscore; a key that did so before that was refused goes on returning its run.
headers: an object that travels with every message of the run.
version: the version to run; the current one when left out. The first run of a version freezes it.

Errors: QF111 unknown workflow; QF112 unknown version; QF202 run_id is taken; QF203 the version has no steps; QF204 the
workflow maps over its input and the input is no array; QF205 negative priority; QF206 bad idempotency_key; QF208 headers is no
object; QF210 start_at is not a moment before the year 9999; QF217 input or headers are too large; QF225 another run of its
key goes on, and the workflow says that then it is refused; QF226 its input has no such key; QF401 a queue is gone.';

create function quantumflow._refuse_bad_key(p_idempotency_key text)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_key$
begin
  if starts_with(p_idempotency_key, '_') then
    raise exception 'idempotency key "%" begins with an underscore', left(p_idempotency_key, 80)
    using
      errcode = 'QF206',
      detail = 'Such keys are those of runs that quantumflow starts by itself, for schedules.',
      hint = 'Let it begin with anything else.';
  end if;

  if length(p_idempotency_key) not between 1 and 255 then
    raise exception 'idempotency key is not valid'
    using
      errcode = 'QF206',
      detail = format('It has %s characters.', length(p_idempotency_key)),
      hint = 'Use 1 to 255 characters, a hash of something longer for example.';
  end if;
end
$_refuse_bad_key$;

comment on function quantumflow._refuse_bad_key(text) is
'Refuses a key that no run of a caller''s can have.

Errors: QF206.';

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

create function quantumflow.start_flows(
  workflow_slug    text,
  inputs           jsonb[],
  priority         int default 0,
  idempotency_keys text[] default null,
  start_at         timestamptz[] default null,
  headers          jsonb[] default null)
returns setof uuid
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $start_flows$
declare
  v_run_ids uuid[];
  v_inputs  jsonb[];
begin
  if start_flows.idempotency_keys is not null or start_flows.start_at is not null or start_flows.headers is not null then
    return query
    select u.run_id
    from unnest(quantumflow._start_various(
      start_flows.workflow_slug, start_flows.inputs, start_flows.priority, start_flows.idempotency_keys, start_flows.start_at,
      start_flows.headers)) u (run_id);
    return;
  end if;

  select array_agg(quantumflow._uuid_v7_of(i.us) order by i.n), array_agg(coalesce(i.input, '{}') order by i.n)
  into v_run_ids, v_inputs
  from (
    select u.input, u.n, (extract(epoch from clock_timestamp()) * 1000000)::bigint as us
    from unnest(start_flows.inputs) with ordinality u (input, n)
    offset 0
  ) i;

  v_run_ids := quantumflow._start_runs(
    start_flows.workflow_slug, null, coalesce(v_run_ids, '{}'), coalesce(v_inputs, '{}'),
    start_flows.priority, null, null, null, true);

  return query
  select u.run_id
  from unnest(v_run_ids) u (run_id);
end
$start_flows$;

comment on function quantumflow.start_flows(text, jsonb[], int, text[], timestamptz[], jsonb[]) is
'Starts a run per input, in one transaction and a handful of statements, and returns their ids in the order of the inputs.

idempotency_keys, start_at, headers: as for start_flow, one for each input, null where it has none. Runs of the same start_at and headers are
started together; one with a key takes a call of its own, in the order of the keys.

Errors: QF111 unknown workflow; QF203 the version has no steps; QF204 the workflow maps over its input and an input is no array;
QF205 negative priority; QF206 bad idempotency_key, or not as many as inputs; QF208 headers is no object, or likewise; QF210 start_at is not a
moment before the year 9999, or likewise; QF217 an input, or headers, are too large; QF225 another run of its key goes on, and the
workflow says that then it is refused; QF226 an input has no such key; QF401 a queue is gone.';

create function quantumflow._start_various(
  p_workflow_slug    text,
  p_inputs           jsonb[],
  p_priority         int,
  p_idempotency_keys text[],
  p_start_at         timestamptz[],
  p_headers          jsonb[])
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_various$
declare
  v_run_ids uuid[] := array_fill(null::uuid, array[coalesce(cardinality(p_inputs), 0)]);
  v_some    record;
  v_ids     uuid[];
begin
  perform quantumflow._refuse_uneven('idempotency_keys', 'QF206', cardinality(p_idempotency_keys), cardinality(v_run_ids));
  perform quantumflow._refuse_uneven('start_at', 'QF210', cardinality(p_start_at), cardinality(v_run_ids));
  perform quantumflow._refuse_uneven('headers', 'QF208', cardinality(p_headers), cardinality(v_run_ids));

  for v_some in
    select
      array_agg(i.n order by i.n) as places,
      array_agg(coalesce(i.input, '{}') order by i.n) as inputs,
      array_agg(quantumflow._uuid_v7() order by i.n) as run_ids,
      i.start_at,
      i.headers
    from unnest(p_inputs, p_idempotency_keys, p_start_at, p_headers) with ordinality i (input, key, start_at, headers, n)
    where i.key is null
    group by i.start_at, i.headers
    order by min(i.n)
  loop
    v_ids := quantumflow._start_runs(
      p_workflow_slug, null, v_some.run_ids, v_some.inputs, p_priority, v_some.start_at, null, v_some.headers, true);

    for n in 1 .. cardinality(v_ids) loop
      v_run_ids[v_some.places[n]] := v_ids[n];
    end loop;
  end loop;

  -- In one order, lest two calls wait for each other's keys.
  for v_some in
    select i.*
    from unnest(p_inputs, p_idempotency_keys, p_start_at, p_headers) with ordinality i (input, key, start_at, headers, n)
    where i.key is not null
    order by i.key, i.n
  loop
    v_run_ids[v_some.n] := quantumflow.start_flow(
      p_workflow_slug, v_some.input, priority => p_priority, start_at => v_some.start_at, idempotency_key => v_some.key,
      headers => v_some.headers);
  end loop;

  return v_run_ids;
end
$_start_various$;

comment on function quantumflow._start_various(text, jsonb[], int, text[], timestamptz[], jsonb[]) is
'Starts a run per input that have keys, times or headers of their own; their ids in the order of the inputs.

Errors: QF206, QF208, QF210 not as many as inputs; and as start_flow.';

create function quantumflow._refuse_uneven(p_argument text, p_code text, p_values int, p_inputs int)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_uneven$
begin
  if p_values <> p_inputs then
    raise exception '% must have a value for each input', p_argument
    using
      errcode = p_code,
      detail = format('There are %s, for %s inputs.', p_values, p_inputs),
      hint = 'Null stands for an input that has none.';
  end if;
end
$_refuse_uneven$;

comment on function quantumflow._refuse_uneven(text, text, int, int) is
'Refuses an array of arguments that has not as many values as there are inputs.

Errors: QF206, QF208, QF210, as it is told.';
