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
  v_found  uuid := quantumflow._run_of_key(start_flow.workflow_slug, start_flow.idempotency_key);
begin
  -- Before anything is refused: a request that comes again gets its run, even if no run could be started by now.
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
