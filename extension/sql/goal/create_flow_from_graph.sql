create function quantumflow.create_flow_from_graph(
  graph         jsonb,
  workflow_slug text default null,
  options       jsonb default '{}')
returns quantumflow.workflow_versions
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $create_flow_from_graph$
declare
  v_options    jsonb := coalesce(create_flow_from_graph.options, '{}');
  v_decomposer quantumflow.decomposers;
  v_tasks      jsonb;
  v_definition jsonb;
begin
  perform quantumflow._refuse_bad_options(v_options, '{may_use,decomposer,context}');

  if v_options ? 'decomposer' then
    v_decomposer := quantumflow._decomposer(v_options ->> 'decomposer');
  end if;

  perform quantumflow._raise_graph_problems(
    create_flow_from_graph.graph,
    row(
      case when v_decomposer.name is null then quantumflow._commands_in(v_options) end, '{single,map}', quantumflow._limit('max_steps'),
      v_decomposer.name is not null, null, '{}'
    )::quantumflow._planned);

  v_tasks := quantumflow._tidy_tasks(quantumflow._graph_tasks(create_flow_from_graph.graph));

  if v_decomposer.name is not null then
    v_tasks := quantumflow._tasks_of_tasks(v_decomposer, v_tasks, coalesce(v_options -> 'context', '{}'), quantumflow._commands_in(v_options));
  end if;

  v_definition := quantumflow._definition_of_tasks(v_tasks, v_options);

  return quantumflow._store_definition(
    v_definition || jsonb_build_object('slug', coalesce(create_flow_from_graph.workflow_slug, quantumflow._slug_of_graph(v_definition))),
    p_may_be_empty => false);
end
$create_flow_from_graph$;

comment on function quantumflow.create_flow_from_graph(jsonb, text, jsonb) is
'Defines a workflow of a graph of tasks, and returns its version. The same graph is the same version again.

graph: {"tasks": [...]}, a list of tasks, or a definition. A task has an "id", and may have "description", "depends_on", "command", "args", "timeout",
"retry_delay", "max_attempts", "critical", "goal", "type", "map_over", "chunk_size", "after", "if", "otherwise", "join", "on_error", "fallback" and "tolerate". Its step
has the id as its name, with an underscore for each character that a name has not, and as its command, unless it says another. A description is
among the args. One that is not critical is gone on without. A key that is null is as if it were not there.
workflow_slug: the workflow; null: graph_ and a hash of the graph.
options: keys of a flow in a definition; "may_use", the commands that tasks may have; and "decomposer", whose rules decompose tasks that are goals, with "context".

Errors: QF601, QF604, QF605, QF613 what is a goal cannot be decomposed; QF602 a command or args that may not be; QF603 too large; QF606 a type that may not be; QF607 a key that is not
for tasks; QF608 unknown decomposer; QF610 no graph; QF612 bad options; QF614 a worker is to be asked for a goal; and those of define_flow.
DETAIL lists every problem, one a line.';

create function quantumflow._tasks_of_tasks(
  p_decomposer quantumflow.decomposers,
  p_tasks      jsonb,
  p_context    jsonb,
  p_commands   text[])
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_tasks_of_tasks$
declare
  v_found quantumflow._expansion := quantumflow._expand_tasks(
    p_decomposer, p_tasks, 0, 0, quantumflow._bounds_of(p_decomposer, p_context, null));
begin
  if v_found.tasks is null then
    raise exception '%', v_found.message
    using
      errcode = v_found.code,
      detail = format('%s rules were tried.', v_found.used),
      hint = 'quantumflow.add_method() adds a rule.';
  elsif v_found.tasks @? '$[*].decomposer' then
    raise exception 'a task is a goal that no rule fits'
    using
      errcode = 'QF614',
      detail = 'The decomposer on which the rules fall back is a command, which a worker is asked.',
      hint = 'Use quantumflow.execute_goal().';
  end if;

  perform quantumflow._raise_graph_problems(
    v_found.tasks,
    row(coalesce(p_commands, p_decomposer.may_use), '{single,map}', quantumflow._limit('max_steps'), false, null, '{}')::quantumflow._planned);

  return v_found.tasks;
end
$_tasks_of_tasks$;

comment on function quantumflow._tasks_of_tasks(quantumflow.decomposers, jsonb, jsonb, text[]) is
'Tidy tasks with what rules make of those that are goals.

Errors: QF601, QF602, QF603, QF604, QF605, QF613, QF614; and those of the graph.';

create function quantumflow._definition_of_tasks(p_tasks jsonb, p_options jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_definition_of_tasks$
begin
  return quantumflow._flow_options(p_options) || jsonb_build_object('steps', quantumflow._steps_of_tasks(p_tasks));
end
$_definition_of_tasks$;

comment on function quantumflow._definition_of_tasks(jsonb, jsonb) is
'The definition, but for its slug, that tidy tasks come to, with those options that are keys of a flow.';

create function quantumflow._slug_of_graph(p_definition jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_slug_of_graph$
begin
  return 'graph_' || left(
    quantumflow._content_hash(quantumflow._canonical_definition(p_definition || '{"slug": "graph"}')), 24);
end
$_slug_of_graph$;

comment on function quantumflow._slug_of_graph(jsonb) is 'The slug of a graph that was given none: the same for the same graph.';
