create function quantumflow._key_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_key_problems$
declare
  c_slug  constant text := '(?i)^[a-z][a-z0-9_]{0,127}$';
  c_queue constant text := '^[a-z][a-z0-9_]{0,46}$';
  v_flow  jsonb := case when jsonb_typeof(p_definition) = 'object' then p_definition else '{}' end;
  v_steps jsonb := case when jsonb_typeof(v_flow -> 'steps') = 'array' then v_flow -> 'steps' else '[]' end;
begin
  if v_flow is distinct from p_definition then
    return query
    select
      'QF101',
      '',
      'the definition must be an object, not ' || quantumflow._shown(p_definition),
      -1;
    return;
  end if;

  return query
  with rule (place, key, json_type, code, pattern, low, high, whole, wanted) as (
    values
      ('flow', 'version', 'string', 'QF101', '^1\.0$', null::numeric, null::numeric, false, '"1.0"'),
      ('flow', 'slug', 'string', 'QF103', c_slug, null, null, false,
        'a letter, then letters, digits and underscores, at most 128'),
      ('flow', 'title', 'string', 'QF101', '', null, null, false, 'text'),
      ('flow', 'on_complete', 'string', 'QF101', '', 1, 256, false, 'text of 1 to 256 characters'),
      ('flow', 'on_failure', 'string', 'QF101', '', 1, 256, false, 'text of 1 to 256 characters'),
      ('flow', 'steps', 'array', 'QF101', null, null, null, false, 'an array of steps'),
      ('step', 'name', 'string', 'QF103', c_slug, null, null, false,
        'a letter, then letters, digits and underscores, at most 128'),
      ('step', 'slug', 'string', 'QF103', c_slug, null, null, false,
        'a letter, then letters, digits and underscores, at most 128'),
      ('step', 'type', 'string', 'QF101', '^(single|task|map)$', null, null, false, '"single" (or "task") or "map"'),
      ('step', 'command', 'string', 'QF101', '', 1, 256, false, 'text of 1 to 256 characters'),
      ('step', 'args', null, null, null, null, null, false, 'anything'),
      ('step', 'dependencies', 'array', 'QF101', null, null, null, false, 'an array of step names'),
      ('step', 'depends_on', 'array', 'QF101', null, null, null, false, 'an array of step names'),
      ('step', 'map_over', 'string', 'QF101', '', null, null, false, 'the name of a dependency'),
      ('step', 'chunk_size', 'number', 'QF101', null, 1, 100000, true, 'a whole number from 1 to 100000'),
      ('step', 'start_delay', 'number', 'QF101', null, 0, 315360000, false, 'a number of seconds from 0 to 315360000'),
      ('both', 'max_attempts', 'number', 'QF101', null, 1, 1000000, true, 'a whole number from 1 to 1000000'),
      ('both', 'max_lost', 'number', 'QF101', null, 1, 1000000, true, 'a whole number from 1 to 1000000'),
      ('both', 'retry_delay', 'number', 'QF101', null, 0, 315360000, false, 'a number of seconds from 0 to 315360000'),
      ('both', 'timeout', 'number', 'QF101', null, 0.001, 315360000, false, 'a number of seconds from 0.001 to 315360000'),
      ('both', 'queue', 'string', 'QF110', c_queue, null, null, false,
        'a lower-case letter, then lower-case letters, digits and underscores, at most 47')
  ),
  step as materialized (
    select (s.number - 1)::int as index, s.value, jsonb_typeof(s.value) = 'object' as is_object
    from jsonb_array_elements(v_steps) with ordinality as s(value, number)
  ),
  entry as (
    select 'flow' as place, -1 as index, '' as prefix, e.key, e.value
    from jsonb_each(v_flow) as e
    union all
    select 'step', s.index, 'steps[' || s.index || '].', e.key, e.value
    from step s
    cross join jsonb_each(case when s.is_object then s.value else '{}' end) as e
  ),
  problem (code, path, message, index) as (
    -- Each key of the flow and of its steps, against its rule.
    select
      case
        when r.key is null then 'QF102'
        when jsonb_typeof(e.value) <> r.json_type then 'QF101'
        else r.code
      end,
      e.prefix || case when e.key ~ '^\w{1,80}$' then e.key else to_jsonb(left(e.key, 80))::text end,
      case
        when r.key is null then 'unknown key ' || quantumflow._shown(to_jsonb(e.key))
        else format('%s must be %s, not %s', r.key, r.wanted, quantumflow._shown(e.value))
      end,
      e.index
    from entry e
    left join rule r on r.key = e.key and r.place in (e.place, 'both')
    where r.key is null
      or jsonb_typeof(e.value) <> r.json_type
      or case jsonb_typeof(e.value)
        when 'string' then left(e.value #>> '{}', 300) collate "C" !~ r.pattern
          or length(e.value #>> '{}') not between r.low and r.high
        when 'number' then e.value::numeric not between r.low and r.high
          or (r.whole and e.value::numeric <> trunc(e.value::numeric))
      end

    union all
    select 'QF101', m.key, m.key || ' is missing', -1
    from unnest(array['slug', 'steps']) as m(key)
    where not v_flow ? m.key

    union all
    select 'QF109', 'steps', 'the definition has no steps', -1
    where v_flow -> 'steps' = '[]'

    union all
    select
      'QF101',
      'steps[' || s.index || ']',
      'a step must be an object, not ' || quantumflow._shown(s.value),
      s.index
    from step s
    where not s.is_object

    union all
    select 'QF101', 'steps[' || s.index || '].name', 'name is missing', s.index
    from step s
    where s.is_object
      and not s.value ?| array['name', 'slug']

    union all
    select
      'QF101',
      'steps[' || s.index || '].' || a.alias,
      format('%s and %s are the same key, and both are there', a.key, a.alias),
      s.index
    from step s
    join (values ('name', 'slug'), ('dependencies', 'depends_on')) as a(key, alias)
      on s.value ?& array[a.key, a.alias]
    where s.is_object

    union all
    select
      'QF101',
      format('steps[%s].%s[%s]', s.index, a.key, d.number - 1),
      'a dependency must be the name of a step, not ' || quantumflow._shown(d.value),
      s.index
    from step s
    cross join unnest(array['dependencies', 'depends_on']) as a(key)
    cross join jsonb_array_elements(
      case when jsonb_typeof(s.value -> a.key) = 'array' then s.value -> a.key else '[]' end
    ) with ordinality as d(value, number)
    where jsonb_typeof(d.value) <> 'string'
  )
  select p.code, p.path, p.message, p.index
  from problem p;
end
$_key_problems$;

comment on function quantumflow._key_problems(jsonb) is
'What is wrong with the keys and values of a definition, each by itself.

step_index is -1 for the flow. The rules are the rows of "rule": the keys of a flow and of a step, and what each may hold.';

create function quantumflow._graph_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_graph_problems$
declare
  v_max_depth bigint := quantumflow._limit('max_depth');
  v_steps     jsonb := case when jsonb_typeof(p_definition -> 'steps') = 'array' then p_definition -> 'steps' else '[]' end;
begin
  return query
  -- No joins: the planner expects a hundred steps, and would run through thousands of them in nested loops.
  with given as (
    select
      (s.number - 1)::int as index,
      coalesce(s.value -> 'name', s.value -> 'slug') as name,
      case when s.value ? 'dependencies' then 'dependencies' else 'depends_on' end as key,
      coalesce(s.value -> 'dependencies', s.value -> 'depends_on') as dependencies,
      coalesce(s.value ->> 'type', 'single') = 'map' as is_map,
      s.value -> 'map_over' as map_over,
      s.value ? 'chunk_size' as has_chunks
    from jsonb_array_elements(v_steps) with ordinality as s(value, number)
  ),
  step as materialized (
    select
      g.index,
      g.name #>> '{}' as name,
      quantumflow._shown(g.name) as shown,
      row_number() over (partition by lower((g.name #>> '{}') collate "C") order by g.index) as occurrence,
      g.key,
      case when jsonb_typeof(g.dependencies) = 'array' then g.dependencies else '[]' end as dependencies,
      g.is_map,
      g.has_chunks,
      case when jsonb_typeof(g.map_over) = 'string' then g.map_over end as map_over
    from given g
    where jsonb_typeof(g.name) = 'string'
  ),
  dependency as materialized (
    select
      s.index,
      s.name,
      s.shown,
      s.occurrence,
      format('steps[%s].%s[%s]', s.index, s.key, d.number - 1) as path,
      d.value #>> '{}' as depends_on,
      row_number() over (partition by s.index, d.value order by d.number) as repetition
    from step s
    cross join jsonb_array_elements(s.dependencies) with ordinality as d(value, number)
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
  ),
  problem (code, path, message, index) as (
    select 'QF104', format('steps[%s].name', s.index), 'duplicate step ' || s.shown, s.index
    from step s
    where s.occurrence > 1

    union all
    select
      'QF105',
      d.path,
      format('step %s depends on unknown step %s', d.shown, quantumflow._shown(to_jsonb(d.depends_on))),
      d.index
    from dependency d
    where d.repetition = 1
      and d.depends_on not in (select s.name from step s)

    union all
    select 'QF106', d.path, format('step %s depends on itself', d.shown), d.index
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
    where g.longest_chain > v_max_depth

    union all
    select 'QF108', format('steps[%s].chunk_size', s.index), format('single step %s has chunk_size', s.shown), s.index
    from step s
    where s.has_chunks
      and not s.is_map

    union all
    select
      'QF108',
      format('steps[%s].map_over', s.index),
      case
        when not s.is_map then format('single step %s has map_over', s.shown)
        when s.map_over is null then format('map step %s has several dependencies and no map_over', s.shown)
        else
          format(
            'map step %s maps over %s, which is not among its dependencies',
            s.shown,
            quantumflow._shown(s.map_over)
          )
      end,
      s.index
    from step s
    where case
      when not s.is_map then s.map_over is not null
      when s.map_over is null then
        (select count(distinct d.value) > 1 from jsonb_array_elements(s.dependencies) as d(value))
      else not s.dependencies @> s.map_over
    end
  )
  select p.code, p.path, p.message, p.index
  from problem p;
end
$_graph_problems$;

comment on function quantumflow._graph_problems(jsonb) is
'What is wrong with the steps of a definition together: duplicates, dependencies, cycles, maps.

Parts that are not what they should be are passed over: _key_problems reports them. step_index is -1 for the flow.';

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

create function quantumflow.validate_flow(definition jsonb)
returns table (code text, path text, message text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $validate_flow$
begin
  return query
  select z.*
  from quantumflow._size_problems(validate_flow.definition) as z;

  if found then
    return;
  end if;

  return query
  select p.code, p.path, p.message
  from (
    select k.* from quantumflow._key_problems(validate_flow.definition) as k
    union all
    select n.* from quantumflow._name_problems(validate_flow.definition) as n
    union all
    select g.* from quantumflow._graph_problems(validate_flow.definition) as g
  ) as p
  order by p.code collate "C", p.step_index, p.path collate "C";
end
$validate_flow$;

comment on function quantumflow.validate_flow(jsonb) is
'Every problem of a definition, one a row; no rows when define_flow would take it.

Never raises. path leads to the place, as in steps[2].max_attempts, with positions from 0; it is empty for the whole.
Rows are in order of code, then of place, and define_flow raises the first.
Codes: QF101 wrong structure, QF102 unknown key, QF103 bad or reserved slug, QF104 duplicate step, QF105 unknown dependency,
QF106 depends on itself, QF107 cycle (one is shown, each step in it depending on the next),
QF108 map rule, QF109 no steps, QF110 bad queue name, QF115 too large or too many steps (then nothing else is looked at),
QF116 too long a chain of steps. Limits are settings: see configure().';
