create function quantumflow.add_step(
  workflow_slug text,
  step_slug     text,
  depends_on    text[] default '{}',
  step_type     text default 'single',
  command       text default null,
  map_over      text default null,
  max_attempts  int default null,
  max_lost      int default null,
  retry_delay   interval default null,
  timeout       interval default null,
  start_delay   interval default '0',
  queue         text default null,
  args          jsonb default null,
  chunk_size    int default null,
  options       jsonb default '{}'
)
returns quantumflow.workflow_steps
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $add_step$
declare
  v_definition jsonb;
  v_place      int;
  v_step       jsonb;
  v_version    quantumflow.workflow_versions;
  v_row        quantumflow.workflow_steps;
begin
  perform quantumflow._refuse_nulls(jsonb_build_object(
    'workflow_slug', add_step.workflow_slug,
    'step_slug', add_step.step_slug,
    'depends_on', add_step.depends_on,
    'step_type', add_step.step_type,
    'start_delay', add_step.start_delay,
    'options', add_step.options
  ));
  perform quantumflow._hold_flow(add_step.workflow_slug, p_may_be_new => false);

  v_definition := quantumflow.get_flow(add_step.workflow_slug);

  -- What a default gives stays absent, since nobody can tell whether it was given.
  v_step := jsonb_strip_nulls(jsonb_build_object(
    'name', add_step.step_slug,
    'type', nullif(add_step.step_type, 'single'),
    'dependencies', nullif(add_step.depends_on, '{}'),
    'command', add_step.command,
    'map_over', add_step.map_over,
    'max_attempts', add_step.max_attempts,
    'max_lost', add_step.max_lost,
    'retry_delay', extract(epoch from add_step.retry_delay),
    'timeout', extract(epoch from add_step.timeout),
    'start_delay', nullif(extract(epoch from add_step.start_delay), 0),
    'queue', add_step.queue,
    'chunk_size', add_step.chunk_size
  ));
  if add_step.args is not null then
    v_step := v_step || jsonb_build_object('args', add_step.args);
  end if;

  v_step := quantumflow._with_options(v_step, add_step.options);

  select (s.number - 1)::int
  into v_place
  from jsonb_array_elements(v_definition -> 'steps') with ordinality as s(value, number)
  where s.value ->> 'name' = add_step.step_slug;

  v_version := quantumflow._store_definition(
    jsonb_set(
      v_definition,
      array['steps', coalesce(v_place, jsonb_array_length(v_definition -> 'steps'))::text],
      v_step
    ),
    p_may_be_empty => false
  );

  select s.*
  into strict v_row
  from quantumflow.workflow_steps s
  where s.workflow_slug = v_version.workflow_slug
    and s.version = v_version.version
    and s.step_slug = add_step.step_slug;

  return v_row;
end
$add_step$;

comment on function quantumflow.add_step(
  text, text, text[], text, text, text, int, int, interval, interval, interval, text, jsonb, int, jsonb
) is
'Adds a step to a workflow''s current version, or replaces the step of that name.

step_type is single, map, loop, sleep, wait or flow; the other arguments are the keys of a step in a definition, and null leaves a setting
to the flow (command: to the step''s name). options has the keys for which there is no argument, or whose argument has its default.
The step''s dependencies must be there already. The same call again changes nothing. On a version that a run has used it works on a
copy, the next version, and runs that are on keep theirs.
Errors: QF101 an argument that is null or out of range; QF102 unknown key, or one in options that is given already;
QF103 bad or reserved slug; QF104 a step whose name differs only in case;
QF105 unknown dependency; QF106 a step that depends on itself; QF107 a cycle; QF108 a map without one thing to map over;
QF110 bad queue name; QF111 unknown workflow; QF115 a definition that is too large or has too many steps;
QF116 too long a chain of steps; QF117 bad condition; QF118 what does not go together with a join, a condition or a failure; QF119 a step
that starts runs of a workflow, or version, that does not exist; QF402 pgmq is missing or too old; QF403 a queue that holds messages of somebody else.';
