create function quantumflow.decompose(goal text, decomposer text, context jsonb default '{}')
returns jsonb
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $decompose$
declare
  v_decomposer quantumflow.decomposers;
  v_tasks      jsonb;
begin
  perform quantumflow._refuse_bad_goal(decompose.goal, decompose.context);
  v_decomposer := quantumflow._decomposer(decompose.decomposer);
  v_tasks := quantumflow._tasks_by_rules(v_decomposer, decompose.goal, decompose.context, null);

  if v_tasks is null or v_tasks @? '$[*].goal' then
    raise exception 'decomposer "%" does not answer at once', v_decomposer.name
    using
      errcode = 'QF614',
      detail = 'It, or the one on which it falls back, is a command, which a worker is asked.',
      hint = 'Use quantumflow.decompose_goal(), and quantumflow.goal_status() later.';
  end if;

  return jsonb_build_object('tasks', v_tasks);
end
$decompose$;

comment on function quantumflow.decompose(text, text, jsonb) is
'The graph of tasks that a goal comes to, where rules answer at once: {"tasks": [...]}. Nothing is kept and nothing starts.

goal: in words, at most 10,000 characters. decomposer: its name. context: an object, what else rules and tasks are told.

Errors: QF601 no rule fits; QF602, QF603, QF604, QF605, QF606, QF607, QF610 what it comes to is no graph that may be, with all problems in DETAIL; QF608 unknown decomposer;
QF612 a goal or context that is none; QF613 it takes too long; QF614 a worker is to be asked.';

create function quantumflow._refuse_bad_goal(p_goal text, p_context jsonb)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_goal$
declare
  v_wrong text := case
    when p_goal is null then 'a goal must not be null'
    when quantumflow._normal_goal(p_goal) is null then 'a goal must have words'
    when length(p_goal) > 10000 then 'a goal must have at most 10000 characters'
    when jsonb_typeof(p_context) is distinct from 'object' then 'context must be an object, not ' || quantumflow._shown(p_context)
    when quantumflow._bytes(p_context) > quantumflow._limit('max_input_bytes') then 'context exceeds max_input_bytes'
  end;
begin
  if v_wrong is not null then
    raise exception '%', v_wrong
    using
      errcode = 'QF612',
      detail = 'A goal is a text, and its context an object of whatever the decomposer and the tasks are to be told.',
      hint = 'For example: select quantumflow.execute_goal(''ship order 17'', ''orders'', ''{"express": true}'').';
  end if;
end
$_refuse_bad_goal$;

comment on function quantumflow._refuse_bad_goal(text, jsonb) is
'Refuses what is no goal, or no context of one.

Errors: QF612.';

create function quantumflow._tasks_by_rules(
  p_decomposer quantumflow.decomposers,
  p_goal       text,
  p_context    jsonb,
  p_max_depth  int)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_tasks_by_rules$
declare
  v_found quantumflow._expansion;
begin
  if p_decomposer.kind = 'command' then
    return null;
  end if;

  v_found := quantumflow._expand_by_any(
    p_decomposer, quantumflow._normal_goal(p_goal), '{}', 1, 0, quantumflow._bounds_of(p_decomposer, p_context, p_max_depth));

  if v_found.tasks is null then
    raise exception '%', v_found.message
    using
      errcode = v_found.code,
      detail = format('%s rules were tried.', v_found.used),
      hint = case v_found.code
        when 'QF601' then 'quantumflow.add_method() adds a rule, and register_decomposer() says which decomposer is asked where none fits.'
        when 'QF604' then 'orchestrator.max_depth says how deep goals may be nested: see quantumflow.configure_orchestrator().'
        when 'QF605' then 'Rules that come to each other again and again are tried ten times max_plans: see quantumflow.configure().'
        when 'QF613' then 'The decomposer''s timeout, or orchestrator.timeout_ms, says how long it may take.'
        else 'Rules that come to too many tasks are refused: see max_plan_steps of quantumflow.configure().'
      end;
  end if;

  -- All of it is for the command on which the rules fall back.
  if v_found.tasks -> 0 ? 'decomposer' and jsonb_array_length(v_found.tasks) = 1 then
    return null;
  end if;

  perform quantumflow._raise_graph_problems(
    quantumflow._without_marks(v_found.tasks),
    row(p_decomposer.may_use, '{single,map}', quantumflow._limit('max_plan_steps'), true, null, '{}')::quantumflow._planned);

  return v_found.tasks;
end
$_tasks_by_rules$;

comment on function quantumflow._tasks_by_rules(quantumflow.decomposers, text, jsonb, int) is
'The tasks that a goal comes to by rules; null where a worker is to be asked for all of it.

Errors: as decompose.';

create function quantumflow._without_marks(p_tasks jsonb)
returns jsonb
language sql
immutable
return (
  select jsonb_agg(o.value - array['decomposer', 'depth', 'whole'] order by o.number)
  from jsonb_array_elements(p_tasks) with ordinality as o(value, number));

comment on function quantumflow._without_marks(jsonb) is 'Tasks without what is noted at those which are still goals.';
