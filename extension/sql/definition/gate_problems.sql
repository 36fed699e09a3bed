create function quantumflow._condition_key_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_condition_key_problems$
begin
  return query
  select
    'QF117',
    format('steps[%s].if', s.index),
    format('the condition of step %s %s', s.shown, c.problem),
    s.index
  from quantumflow._named_steps(p_definition) as s
  cross join lateral quantumflow._condition_problems(
    s.step ->> 'if',
    quantumflow._texts(s.dependencies),
    quantumflow._texts(s.after) || quantumflow._texts(s.prefer_after)
  ) as c(problem)
  where jsonb_typeof(s.step -> 'if') = 'string'
    and length(s.step ->> 'if') between 1 and 2000;
end
$_condition_key_problems$;

comment on function quantumflow._condition_key_problems(jsonb) is
'What is wrong with the conditions of a definition, as _condition_problems tells.';

create function quantumflow._gate_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_gate_problems$
declare
  v_fallbacks jsonb;
begin
  select jsonb_object_agg(s.name, s.index)
  into v_fallbacks
  from quantumflow._named_steps(p_definition) s
  where s.step ? 'fallback'
    and jsonb_typeof(s.step -> 'fallback') <> 'array';

  return query
  select 'QF118', format('steps[%s].%s', s.index, r.key), format(r.message, s.shown, s.step_type), s.index
  from quantumflow._named_steps(p_definition) s
  cross join lateral (
    values
      ('join', 'step %s has join and no dependencies', s.step ? 'join' and s.dependencies = '[]'),
      (
        'join',
        'map step %s has join "none", and what it maps over would not have to be there',
        s.step -> 'join' = '"none"' and s.is_map and s.dependencies <> '[]'
      ),
      ('otherwise', 'step %s has otherwise and no if', s.step ? 'otherwise' and not s.step ? 'if'),
      (
        'on_error',
        'step %s has on_error and fallback, and only one of them can say what its failure means',
        s.step ?& array['on_error', 'fallback']
      ),
      ('tolerate', '%2$s step %1$s has tolerate', s.step ? 'tolerate' and not s.is_map)
  ) as r(key, message, is_wrong)
  where r.is_wrong

  union all
  select
    'QF118',
    format('steps[%s].fallback', v_fallbacks ->> o.over),
    format('map step %s maps over %s, whose fallback must be an array', s.shown, quantumflow._shown(to_jsonb(o.over))),
    (v_fallbacks ->> o.over)::int
  from quantumflow._named_steps(p_definition) s
  cross join lateral (select coalesce(s.map_over, s.dependencies -> 0) #>> '{}') as o(over)
  where s.is_map
    and v_fallbacks ? o.over

  union all
  select
    'QF118',
    format('steps[%s].%s[%s]', s.index, w.key, w.number - 1),
    format('step %s comes after %s, which is among its %s already', s.shown, quantumflow._shown(w.name), w.other),
    s.index
  from quantumflow._named_steps(p_definition) s
  cross join lateral (
    select 'after', a.number, a.name, 'dependencies'
    from jsonb_array_elements(s.after) with ordinality a(name, number)
    where s.dependencies @> a.name
    union all
    select 'prefer_after', a.number, a.name, case when s.dependencies @> a.name then 'dependencies' else 'after' end
    from jsonb_array_elements(s.prefer_after) with ordinality a(name, number)
    where (s.dependencies || s.after) @> a.name
  ) as w(key, number, name, other);
end
$_gate_problems$;

comment on function quantumflow._gate_problems(jsonb) is
'Steps of a definition that say of joins, conditions and failures what does not go together.';
