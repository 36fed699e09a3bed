create function quantumflow.add_method(
  decomposer text,
  graph      jsonb,
  pattern    text default null,
  condition  text default null,
  task       text default null,
  number     int default null)
returns quantumflow.methods
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $add_method$
declare
  v_method quantumflow.methods;
begin
  perform quantumflow._refuse_wrong_method(
    add_method.decomposer, add_method.graph, add_method.pattern, add_method.condition, add_method.task, add_method.number);

  -- One at a time, for the number.
  perform
  from quantumflow.decomposers d
  where d.name = add_method.decomposer
  for no key update;

  v_method := row(
    add_method.decomposer,
    coalesce(
      add_method.number,
      -- The same again is the same rule.
      (
        select min(m.number)
        from quantumflow.methods m
        where m.decomposer = add_method.decomposer
          and (m.task, m.pattern, m.condition, m.graph)
            is not distinct from (add_method.task, add_method.pattern, quantumflow._with_mode(add_method.condition), add_method.graph)
      ),
      (select coalesce(max(m.number), 0) + 1 from quantumflow.methods m where m.decomposer = add_method.decomposer)),
    add_method.task, add_method.pattern, quantumflow._with_mode(add_method.condition), add_method.graph
  )::quantumflow.methods;

  insert into quantumflow.methods as m
  select v_method.*
  on conflict on constraint methods_pkey do update
  set
    task = excluded.task,
    pattern = excluded.pattern,
    condition = excluded.condition,
    graph = excluded.graph
  where (m.task, m.pattern, m.condition, m.graph) is distinct from (excluded.task, excluded.pattern, excluded.condition, excluded.graph);

  if found then
    perform quantumflow._record_act(
      'add_method', quantumflow._now(),
      p_detail => jsonb_build_object('decomposer', v_method.decomposer, 'number', v_method.number));
  end if;

  return v_method;
end
$add_method$;

comment on function quantumflow.add_method(text, jsonb, text, text, text, int) is
'Adds a rule to a decomposer of kind "rules", and returns its row: what a goal, or a task, comes to. The same again changes nothing.

graph: the tasks, {"tasks": [...]} or a list. A task with a "goal" is decomposed in turn, and so is one whose command is the task of a rule.
pattern: a regular expression, which the goal matches whatever the case; null: any goal. The goal has its blanks made one each.
condition: a jsonpath predicate over {"goal", "context", "args", "match"}, which must be true; args are of the task that is decomposed, match what
the parentheses of pattern matched.
task: the rule is for tasks of this command, not for goals. number: which rule it is; they are tried in this order, and the next when what one
comes to cannot be decomposed to the end. One of that number is replaced; null: the last.

Errors: QF601 no pattern, condition or number that can be; QF608 unknown decomposer; QF612 one of kind "command"; and of the graph QF602, QF603, QF606,
QF607, QF610 and those of define_flow. DETAIL lists every problem, one a line.';

create function quantumflow._refuse_wrong_method(
  p_decomposer text,
  p_graph      jsonb,
  p_pattern    text,
  p_condition  text,
  p_task       text,
  p_number     int)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_wrong_method$
declare
  v_decomposer quantumflow.decomposers := quantumflow._decomposer(p_decomposer);
  v_wrong      text := quantumflow._pattern_flaw(p_pattern);
begin
  v_wrong := case
    when v_decomposer.kind <> 'rules' then format('decomposer "%s" is a command, and has no rules', p_decomposer)
    when p_graph is null then 'graph is null'
    when p_number < 1 then format('number is %s, and rules count from 1', p_number)
    when length(p_task) not between 1 and 256 then 'task must have 1 to 256 characters'
    when p_task is not null and p_pattern is not null then 'a rule for a task has no pattern, which is for goals'
    when v_wrong is not null then v_wrong
    else (
      select 'condition ' || c.problem
      from quantumflow._condition_problems(p_condition, '{goal,context,args,match}', '{}') c (problem)
      limit 1
    )
  end;

  if v_wrong is not null then
    raise exception '%', v_wrong
    using
      errcode = 'QF612',
      detail = format('The rule is for decomposer "%s".', p_decomposer),
      hint = 'For example: select quantumflow.add_method(''orders'', ''[{"id": "ship"}]'', pattern => ''ship'').';
  end if;

  -- The commands are held to may_use where the rule is applied: those that are decomposed in turn are in no list.
  perform quantumflow._raise_graph_problems(
    p_graph, row(null, '{single,map}', quantumflow._limit('max_plan_steps'), true, null, '{}')::quantumflow._planned);
end
$_refuse_wrong_method$;

comment on function quantumflow._refuse_wrong_method(text, jsonb, text, text, text, int) is
'Refuses what no rule can be.

Errors: QF608, QF612; and those of the graph.';

create function quantumflow._pattern_flaw(p_pattern text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_pattern_flaw$
begin
  perform '' ~* p_pattern;

  return case when length(p_pattern) not between 1 and 1000 then 'pattern must have 1 to 1000 characters' end;
exception
  when invalid_regular_expression then
    return format('pattern is no regular expression: %s', sqlerrm);
end
$_pattern_flaw$;

comment on function quantumflow._pattern_flaw(text) is 'Why a regular expression is none, or too long; null when it can be used.';
