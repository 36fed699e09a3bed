create function quantumflow._key_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_key_problems$
begin
  return query
  with entry as (
    select 'flow' as place, -1 as index, '' as prefix, e.key, e.value
    from jsonb_each(case when jsonb_typeof(p_definition) = 'object' then p_definition else '{}' end) as e
    union all
    select 'step', s.index, 'steps[' || s.index || '].', e.key, e.value
    from quantumflow._elements(p_definition) as s
    cross join jsonb_each(case when jsonb_typeof(s.value) = 'object' then s.value else '{}' end) as e
  )
  select
    case
      when k.key is null then 'QF102'
      when jsonb_typeof(e.value) <> all (k.json_types) then 'QF101'
      else k.code
    end,
    e.prefix || case when e.key ~ E'^\\w{1,80}$' then e.key else to_jsonb(left(e.key, 80))::text end,
    case
      when k.key is null then
        'unknown key ' || quantumflow._shown(to_jsonb(e.key)) || coalesce('; here it is "' || quantumflow._meant_by(e.key) || '"', '')
      else format('%s must be %s, not %s', k.key, k.wanted, quantumflow._shown(e.value))
    end,
    e.index
  from entry e
  left join quantumflow._keys() k
    on k.key = e.key
    and k.place in (e.place, 'both')
  where k.key is null
    or jsonb_typeof(e.value) <> all (k.json_types)
    or case jsonb_typeof(e.value)
      when 'string' then left(e.value #>> '{}', 300) collate "C" !~ k.pattern
        or length(e.value #>> '{}') not between k.low and k.high
      when 'number' then e.value::numeric not between k.low and k.high
        or (k.whole and e.value::numeric <> trunc(e.value::numeric))
    end;
end
$_key_problems$;

comment on function quantumflow._key_problems(jsonb) is
'Each key of a definition and of its steps that does not hold what _keys() says. step_index is -1 for the flow.';

create function quantumflow._shape_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_shape_problems$
begin
  if jsonb_typeof(p_definition) is distinct from 'object' then
    return query
    select 'QF101', '', 'the definition must be an object, not ' || quantumflow._shown(p_definition), -1;
    return;
  end if;

  return query
  select 'QF101', m.key, m.key || ' is missing', -1
  from unnest(array['slug', 'steps']) as m(key)
  where not p_definition ? m.key
  union all
  select 'QF109', 'steps', 'the definition has no steps', -1
  where p_definition -> 'steps' = '[]';

  return query
  select 'QF101', 'steps[' || s.index || ']', 'a step must be an object, not ' || quantumflow._shown(s.value), s.index
  from quantumflow._elements(p_definition) as s
  where jsonb_typeof(s.value) <> 'object'
  union all
  select 'QF101', 'steps[' || s.index || '].name', 'name is missing', s.index
  from quantumflow._elements(p_definition) as s
  where jsonb_typeof(s.value) = 'object'
    and not s.value ?| array['name', 'slug'];

  return query
  select
    'QF101',
    'steps[' || s.index || '].' || k.key,
    format('%s and %s are the same key, and both are there', k.same_as, k.key),
    s.index
  from quantumflow._elements(p_definition) as s
  join quantumflow._keys() as k
    on s.value ?& array[k.key, k.same_as]
  where jsonb_typeof(s.value) = 'object'
    and k.same_as is not null;

  return query
  select
    'QF101',
    format('steps[%s].%s[%s]', s.index, k.key, d.number - 1),
    'a dependency must be the name of a step, not ' || quantumflow._shown(d.value),
    s.index
  from quantumflow._elements(p_definition) as s
  cross join unnest(array['dependencies', 'depends_on', 'after', 'prefer_after']) as k(key)
  cross join jsonb_array_elements(
    case when jsonb_typeof(s.value -> k.key) = 'array' then s.value -> k.key else '[]' end
  ) with ordinality as d(value, number)
  where jsonb_typeof(d.value) <> 'string';
end
$_shape_problems$;

comment on function quantumflow._shape_problems(jsonb) is
'What is missing in a definition, is there twice, or is no step or no name where one must be. step_index is -1 for the flow.';

create function quantumflow._graph_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_graph_problems$
declare
  v_max_depth bigint := quantumflow._limit('max_depth');
begin
  return query
  -- No joins: the planner expects a hundred steps, and would run through thousands of them in nested loops.
  with step as materialized (
    select
      n.index, n.name, n.shown, n.key, n.dependencies, n.after, n.prefer_after,
      row_number() over (partition by lower(n.name collate "C") order by n.index) as occurrence
    from quantumflow._named_steps(p_definition) n
  ),
  dependency as materialized (
    select
      s.index,
      s.name,
      s.shown,
      k.key,
      s.occurrence,
      d.number - 1 as number,
      d.value #>> '{}' as depends_on,
      row_number() over (partition by s.index, k.key, d.value order by d.number) as repetition
    from step s
    cross join lateral (
      values (s.key, s.dependencies), ('after', s.after), ('prefer_after', s.prefer_after)
    ) as k(key, names)
    cross join jsonb_array_elements(k.names) with ordinality as d(value, number)
    where jsonb_typeof(d.value) = 'string'
  ),
  graph as materialized (
    select g.cycle, g.longest_chain
    from (
      select array_agg(d.name) as steps, array_agg(d.depends_on) as depends_on
      from dependency d
      where d.occurrence = 1
        and d.repetition = 1
        and d.depends_on <> d.name
    ) e
    cross join lateral quantumflow._examine_graph(e.steps, e.depends_on) g
  )
  select 'QF104', format('steps[%s].name', s.index), 'duplicate step ' || s.shown, s.index
  from step s
  where s.occurrence > 1

  union all
  select
    'QF105',
    format('steps[%s].%s[%s]', d.index, d.key, d.number),
    format('step %s depends on unknown step %s', d.shown, quantumflow._shown(to_jsonb(d.depends_on))),
    d.index
  from dependency d
  where d.repetition = 1
    and d.depends_on not in (select s.name from step s)

  union all
  select 'QF106', format('steps[%s].%s[%s]', d.index, d.key, d.number), format('step %s depends on itself', d.shown), d.index
  from dependency d
  where d.repetition = 1
    and d.depends_on = d.name

  union all
  select
    'QF107',
    'steps',
    'steps depend on each other in a cycle: ' || translate(array_to_string(g.cycle, ' -> '), e'\n\r', '  '),
    -1
  from graph g
  where g.cycle is not null

  union all
  select 'QF116', 'steps', format('the longest chain has %s steps, and %s are allowed', g.longest_chain, v_max_depth), -1
  from graph g
  where g.longest_chain > v_max_depth;
end
$_graph_problems$;

comment on function quantumflow._graph_problems(jsonb) is
'What is wrong with the steps of a definition together: duplicates, dependencies, cycles. step_index is -1 for the flow.';

create function quantumflow._mapping_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_mapping_problems$
begin
  return query
  select 'QF108', format('steps[%s].chunk_size', s.index), format('%s step %s has chunk_size', s.step_type, s.shown), s.index
  from quantumflow._named_steps(p_definition) s
  where s.step ? 'chunk_size'
    and not s.is_map;

  return query
  select
    'QF108',
    format('steps[%s].map_over', s.index),
    case
      when not s.is_map then format('%s step %s has map_over', s.step_type, s.shown)
      when s.map_over is null then format('map step %s has several dependencies and no map_over', s.shown)
      else
        format(
          'map step %s maps over %s, which is not among its dependencies',
          s.shown,
          quantumflow._shown(s.map_over)
        )
    end,
    s.index
  from quantumflow._named_steps(p_definition) s
  where case
    when not s.is_map then s.map_over is not null
    when s.map_over is null then
      (select count(distinct d.value) > 1 from jsonb_array_elements(s.dependencies) as d(value))
    else not s.dependencies @> s.map_over
  end;
end
$_mapping_problems$;

comment on function quantumflow._mapping_problems(jsonb) is
'Steps of a definition that say of maps what does not go with their type or their dependencies.';

create function quantumflow._size_problems(p_definition jsonb)
returns table (code text, path text, message text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_size_problems$
declare
  v_bytes     bigint := quantumflow._bytes(p_definition);
  v_max_bytes bigint := quantumflow._limit('max_definition_bytes');
  v_steps     int;
  v_max_steps bigint;
begin
  if v_bytes > v_max_bytes then
    return query
    select 'QF115', '', format('the definition has %s bytes, and %s are allowed', v_bytes, v_max_bytes);
  elsif jsonb_typeof(p_definition -> 'steps') = 'array' then
    v_steps := jsonb_array_length(p_definition -> 'steps');
    v_max_steps := quantumflow._limit('max_steps');

    return query
    select 'QF115', 'steps', format('the definition has %s steps, and %s are allowed', v_steps, v_max_steps)
    where v_steps > v_max_steps;
  end if;
end
$_size_problems$;

comment on function quantumflow._size_problems(jsonb) is
'Whether a definition exceeds a limit, as one row: then it is not looked at any further.';

create function quantumflow.validate_flow(
  definition    jsonb,
  workflow_slug text default null
)
returns table (code text, path text, message text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $validate_flow$
declare
  v_definition jsonb := quantumflow._with_slug(validate_flow.definition, validate_flow.workflow_slug);
begin
  return query
  select z.*
  from quantumflow._size_problems(v_definition) as z;

  if found then
    return;
  end if;

  return query
  select p.code, p.path, p.message
  from (
    select k.* from quantumflow._key_problems(v_definition) as k
    union all
    select n.* from quantumflow._name_problems(v_definition) as n
    union all
    select o.* from quantumflow._other_slug_problems(v_definition, validate_flow.workflow_slug) as o
    union all
    select s.* from quantumflow._shape_problems(v_definition) as s
    union all
    select g.* from quantumflow._graph_problems(v_definition) as g
    union all
    select m.* from quantumflow._mapping_problems(v_definition) as m
    union all
    select c.* from quantumflow._condition_key_problems(v_definition) as c
    union all
    select w.* from quantumflow._gate_problems(v_definition) as w
    union all
    select i.* from quantumflow._kind_problems(v_definition) as i
    union all
    select l.* from quantumflow._limit_problems(v_definition) as l
    union all
    select t.* from quantumflow._turn_problems(v_definition) as t
  ) as p
  order by p.code collate "C", p.step_index, p.path collate "C";
end
$validate_flow$;

comment on function quantumflow.validate_flow(jsonb, text) is
'Every problem of a definition, one a row; no rows when define_flow would take it.

workflow_slug: the workflow, where the definition has no "slug"; where it has one, the same.
Never raises. path leads to the place, as in steps[2].max_attempts, with positions from 0; it is empty for the whole.
Rows are in order of code, then of place, and define_flow raises the first.
Codes: QF101 wrong structure, QF102 unknown key, QF103 bad or reserved slug, QF104 duplicate step, QF105 unknown dependency,
QF106 depends on itself, QF107 cycle (one is shown, each step in it depending on the next),
QF108 map rule, QF109 no steps, QF110 bad queue name, QF115 too large or too many steps (then nothing else is looked at),
QF116 too long a chain of steps, QF117 bad condition or other jsonpath, QF118 what does not go together with a join, a condition, a failure or a type,
QF119 a workflow to start that does not exist.
Limits are settings: see configure().';
