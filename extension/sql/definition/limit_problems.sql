create function quantumflow._limit_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_limit_problems$
begin
  return query
  with limited as (
    select s.index, s.shown, s.is_map, s.dependencies, s.after, s.prefer_after, s.step -> 'limit' as said
    from quantumflow._named_steps(p_definition) s
    where jsonb_typeof(s.step -> 'limit') = 'object'
  )
  select
    'QF102', format('steps[%s].limit', l.index), format('the limit of step %s has the unknown key %s', l.shown, quantumflow._shown(to_jsonb(k.key))),
    l.index
  from limited l
  cross join jsonb_object_keys(l.said) as k(key)
  where k.key not in ('name', 'key')

  union all
  select
    'QF101', format('steps[%s].limit.name', l.index),
    format(
      'the limit of step %s must have a name: a letter, then letters, digits, _, . and -, at most 128, not %s', l.shown,
      coalesce(quantumflow._shown(l.said -> 'name'), 'null')),
    l.index
  from limited l
  where (jsonb_typeof(l.said -> 'name') = 'string' and l.said ->> 'name' ~ '^[A-Za-z][A-Za-z0-9_.-]{0,127}$') is not true

  union all
  select
    'QF117', format('steps[%s].limit.key', l.index),
    format('the key of the limit of step %s must be a jsonpath of 1 to 2000 characters, not %s', l.shown, quantumflow._shown(l.said -> 'key')),
    l.index
  from limited l
  where l.said ? 'key'
    and (jsonb_typeof(l.said -> 'key') = 'string' and length(l.said ->> 'key') between 1 and 2000) is not true

  union all
  select 'QF117', format('steps[%s].limit.key', l.index), format('the key of the limit of step %s %s', l.shown, c.problem), l.index
  from limited l
  cross join lateral quantumflow._condition_problems(
    l.said ->> 'key',
    quantumflow._texts(l.dependencies) || case when l.is_map then array['item'] else '{}' end,
    quantumflow._texts(l.after) || quantumflow._texts(l.prefer_after),
    p_gives_value => true
  ) as c(problem)
  where jsonb_typeof(l.said -> 'key') = 'string'
    and length(l.said ->> 'key') between 1 and 2000;
end
$_limit_problems$;

comment on function quantumflow._limit_problems(jsonb) is
'What is wrong with the limits of a definition''s steps. Their keys may ask for what the step is given, and in a map for $.item too.';

create function quantumflow._turn_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_turn_problems$
declare
  v_said jsonb := case when jsonb_typeof(p_definition -> 'one_at_a_time') = 'object' then p_definition -> 'one_at_a_time' end;
begin
  return query
  select 'QF102', 'one_at_a_time', format('one_at_a_time has the unknown key %s', quantumflow._shown(to_jsonb(k.key))), -1
  from jsonb_object_keys(coalesce(v_said, '{}')) as k(key)
  where k.key not in ('key', 'when_busy')

  union all
  select 'QF101', 'one_at_a_time.when_busy', 'when_busy must be "queue", "refuse" or "cancel", not ' || quantumflow._shown(v_said -> 'when_busy'), -1
  where v_said ? 'when_busy'
    and (v_said -> 'when_busy' in ('"queue"', '"refuse"', '"cancel"')) is not true

  union all
  select
    'QF117', 'one_at_a_time.key',
    'the key of one_at_a_time must be a jsonpath of 1 to 2000 characters, not ' || quantumflow._shown(v_said -> 'key'), -1
  where v_said ? 'key'
    and (jsonb_typeof(v_said -> 'key') = 'string' and length(v_said ->> 'key') between 1 and 2000) is not true

  union all
  select 'QF117', 'one_at_a_time.key', 'the key of one_at_a_time ' || c.problem, -1
  from quantumflow._condition_problems(v_said ->> 'key', '{}', '{}', p_gives_value => true) as c(problem)
  where jsonb_typeof(v_said -> 'key') = 'string'
    and length(v_said ->> 'key') between 1 and 2000;
end
$_turn_problems$;

comment on function quantumflow._turn_problems(jsonb) is
'What is wrong with what a flow says of runs that go on one at a time. Its key may ask for $.run.';
