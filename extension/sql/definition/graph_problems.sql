create type quantumflow._planned as (
  commands  text[],
  types     text[],
  max_tasks bigint,
  has_goals boolean,
  settings  jsonb,
  flows     text[]
);

comment on type quantumflow._planned is
'What a graph of tasks may have: commands, null for any; types of steps; how many tasks; whether some may be goals, which are decomposed in
turn; what no task may have more of, {"timeout", "max_attempts", "retry_delay"}, null for what a definition allows; and workflows that may be started.';

create function quantumflow._task_graph_problems(p_graph jsonb, p_may quantumflow._planned)
returns table (code text, path text, message text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_task_graph_problems$
declare
  v_tasks jsonb := quantumflow._graph_tasks(p_graph);
  v_bytes bigint := quantumflow._bytes(p_graph);
begin
  -- What is too large is not looked at any further.
  return query
  select 'QF603', '', format('the graph has %s bytes, and %s are allowed', v_bytes, quantumflow._limit('max_definition_bytes'))
  where v_bytes > quantumflow._limit('max_definition_bytes')
  union all
  select 'QF610', '', 'a graph is an object with "tasks", or a list of tasks, not ' || quantumflow._shown(p_graph)
  where v_tasks is null
  union all
  select 'QF610', '', 'the graph has no tasks'
  where v_tasks = '[]'
  union all
  select 'QF603', '', format('the graph has %s tasks, and %s are allowed', jsonb_array_length(v_tasks), p_may.max_tasks)
  where jsonb_array_length(v_tasks) > p_may.max_tasks;

  if found then
    return;
  end if;

  v_tasks := quantumflow._tidy_tasks(v_tasks);

  return query
  select s.*
  from quantumflow._task_problems(v_tasks, p_may) s;

  if found then
    return;
  end if;

  return query
  select v.code, replace(replace(replace(v.path, 'steps', 'tasks'), '.dependencies', '.depends_on'), '.name', '.id'), v.message
  from quantumflow.validate_flow(jsonb_build_object(
    'slug', 'graph',
    'steps', quantumflow._within_bounds(quantumflow._steps_of_tasks(quantumflow._without_goals(v_tasks)), p_may))) v;
end
$_task_graph_problems$;

comment on function quantumflow._task_graph_problems(jsonb, quantumflow._planned) is
'Every problem of a graph of tasks, one a row, as validate_flow has those of a definition; no rows when it is good. First what it is made of, and
if that is right what it comes to. Never raises.';

create function quantumflow._without_goals(p_tasks jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_without_goals$
begin
  return (
    select jsonb_agg(o.value - array['goal', 'decomposer'] order by o.number)
    from jsonb_array_elements(p_tasks) with ordinality as o(value, number));
end
$_without_goals$;

comment on function quantumflow._without_goals(jsonb) is
'Tidy tasks, with a step of an ordinary kind in place of what is a goal: to see whether they are a graph.';

create function quantumflow._task_problems(p_tasks jsonb, p_may quantumflow._planned)
returns table (code text, path text, message text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_task_problems$
begin
  return query
  with task as materialized (
    select
      o.number - 1 as index,
      o.value,
      coalesce('task ' || quantumflow._shown(o.value -> 'id'), 'a task') as shown,
      quantumflow._step_name_of(quantumflow._id_text(o.value -> 'id')) as name,
      o.value ? 'goal' as is_goal,
      coalesce(o.value ->> 'command', quantumflow._id_text(o.value -> 'id')) as command
    from jsonb_array_elements(p_tasks) with ordinality as o(value, number)
  )
  select p.code, 'tasks[' || p.index || ']' || p.place, p.message
  from (
    select 'QF610' as code, t.index, '' as place, 'a task must be an object, not ' || quantumflow._shown(t.value) as message
    from task t
    where jsonb_typeof(t.value) <> 'object'

    union all
    select 'QF610', t.index, '.id', case when t.value ? 'id' then 'id must be a text, not ' || quantumflow._shown(t.value -> 'id') else 'id is missing' end
    from task t
    where jsonb_typeof(t.value) = 'object'
      and coalesce(quantumflow._id_text(t.value -> 'id'), '') = ''

    union all
    select 'QF610', t.index, '.id', format('%s and another task are both step "%s"', t.shown, left(t.name, 80))
    from (
      select l.*, row_number() over (partition by lower(l.name collate "C") order by l.index) as occurrence
      from task l
    ) t
    where t.occurrence > 1
      and t.name <> ''

    union all
    select
      case when k.key is null or k.of_type <> all (p_may.types) then 'QF607' else 'QF610' end, t.index,
      '.' || case when e.key ~ E'^\\w{1,80}$' then e.key else to_jsonb(left(e.key, 80))::text end,
      case
        when k.key is null or k.of_type <> all (p_may.types) then format('%s has the key %s, which is not for a task', t.shown, quantumflow._shown(to_jsonb(e.key)))
        when k.same_as is not null then format('%s has %s and %s, which are the same', t.shown, k.same_as, e.key)
        else format('%s is a goal, and has the key %s', t.shown, e.key)
      end
    from task t
    cross join lateral jsonb_each(case when jsonb_typeof(t.value) = 'object' then t.value else '{}' end) e
    left join quantumflow._task_keys() k
      on k.key = e.key
    where k.key is null
      or k.same_as is not null
      or k.of_type <> all (p_may.types)
      or (t.is_goal and not k.of_goals)

    union all
    select 'QF610', t.index, '.' || r.key, format('%s of %s must be %s, not %s', r.key, t.shown, r.wanted, quantumflow._shown(t.value -> r.key))
    from task t
    cross join (
      values
        ('description', '{string}'::text[], 'a text'),
        ('goal', '{string}', 'a text'),
        ('critical', '{boolean}', 'true or false'),
        ('command', '{string}', 'a text'),
        ('type', '{string}', 'a text'),
        ('depends_on', '{array}', 'a list of ids'),
        ('after', '{array}', 'a list of ids'),
        ('map_over', '{string,number}', 'an id')
    ) as r(key, json_types, wanted)
    where t.value ? r.key
      and jsonb_typeof(t.value -> r.key) <> all (r.json_types)

    union all
    select 'QF610', t.index, format('.%s[%s]', k.key, d.number - 1), 'an id must be a text, not ' || quantumflow._shown(d.value)
    from task t
    cross join (values ('depends_on'), ('after')) as k(key)
    cross join lateral jsonb_array_elements(quantumflow._array(t.value -> k.key)) with ordinality as d(value, number)
    where quantumflow._id_text(d.value) is null

    union all
    select 'QF610', t.index, '.goal', case
      when not p_may.has_goals then t.shown || ' is a goal, and nothing here decomposes it'
      else format('the goal of %s has no words, or more than 10000 characters', t.shown)
    end
    from task t
    where t.is_goal
      and (not p_may.has_goals or length(btrim(t.value ->> 'goal')) not between 1 and 10000)

    union all
    select 'QF606', t.index, '.type', format('%s is of type %s, and may be %s', t.shown, quantumflow._shown(t.value -> 'type'),
      array_to_string(p_may.types, ', '))
    from task t
    where jsonb_typeof(t.value -> 'type') = 'string'
      and quantumflow._type_of(t.value) <> all (p_may.types)

    union all
    select 'QF602', t.index, '.command', format('no step function found for %s: command %s is not among those it may have', t.shown,
      quantumflow._shown(to_jsonb(t.command)))
    from task t
    where not t.is_goal
      and not t.value ? 'flow'
      and t.command <> all (p_may.commands)

    union all
    select 'QF606', t.index, '.flow', format('%s starts %s, and may start %s', t.shown, quantumflow._shown(t.value -> 'flow'),
      coalesce(nullif(array_to_string(p_may.flows, ', '), ''), 'none'))
    from task t
    where t.value ? 'flow'
      and (jsonb_typeof(t.value -> 'flow') <> 'string' or t.value ->> 'flow' <> all (p_may.flows))

    union all
    select 'QF607', t.index, '.' || m.key, format('%s of %s is %s, and %s is allowed', m.key, t.shown, quantumflow._shown(t.value -> m.key), m.value)
    from task t
    cross join lateral jsonb_each(p_may.settings) m
    where jsonb_typeof(t.value -> m.key) = 'number'
      and (t.value ->> m.key)::numeric > (m.value #>> '{}')::numeric

    union all
    select 'QF602', t.index, '.args' || a.path, format('args of %s: %s', t.shown, a.message)
    from task t
    join quantumflow.described_commands d
      on d.command = t.command
    cross join lateral quantumflow._schema_problems(coalesce(t.value -> 'args', '{}'), d.args_schema) a
    where not t.is_goal
      and d.args_schema is not null
  ) p
  order by p.code collate "C", p.index, p.place collate "C";
end
$_task_problems$;

comment on function quantumflow._task_problems(jsonb, quantumflow._planned) is
'What is wrong with tidy tasks, each by itself: their keys, ids, types, commands, and the args of these.';

create function quantumflow._raise_graph_problems(p_graph jsonb, p_may quantumflow._planned)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_raise_graph_problems$
declare
  v_code    text;
  v_message text;
  v_all     text;
begin
  select (array_agg(p.code))[1], (array_agg(p.message))[1], quantumflow._listed_problems(jsonb_agg(to_jsonb(p)))
  into v_code, v_message, v_all
  from quantumflow._task_graph_problems(p_graph, p_may) p;

  if v_code is not null then
    raise exception '%', v_message
    using
      errcode = v_code,
      detail = v_all,
      hint = case v_code
        when 'QF602' then 'may_use says which commands there are, and describe_command what their args are.'
        when 'QF603' then 'Let it be several goals, or raise max_plan_steps with quantumflow.configure().'
        else 'docs/goals.md says what a graph of tasks has in it.'
      end;
  end if;
end
$_raise_graph_problems$;

comment on function quantumflow._raise_graph_problems(jsonb, quantumflow._planned) is
'Raises the first problem of a graph of tasks; DETAIL lists them all, one a line.

Errors: QF602, QF603, QF606, QF607, QF610, and those of validate_flow.';

create function quantumflow._listed_problems(p_problems jsonb)
returns text
language sql
immutable
return (
  select string_agg(
    format('%s at %s: %s', p.value ->> 'code', coalesce(nullif(p.value ->> 'path', ''), 'the top'), p.value ->> 'message'), e'\n' order by p.number)
  from jsonb_array_elements(p_problems) with ordinality as p(value, number));

comment on function quantumflow._listed_problems(jsonb) is 'Problems of a graph, an array of {"code", "path", "message"}, one a line.';
