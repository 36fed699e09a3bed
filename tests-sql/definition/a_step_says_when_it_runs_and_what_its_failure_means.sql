begin;
select plan(5);

select is(
  (quantumflow.define_flow('{"slug": "w", "steps": [
    {"name": "a", "if": "\n strict  $.run.n > 1 ", "otherwise": "skip", "on_error": "fail"},
    {"name": "b", "depends_on": ["a"], "join": "all", "after": [], "if": "lax $.a.n == 1", "otherwise": "fail", "fallback": null},
    {"name": "c", "depends_on": ["a", "b"], "join": "any"},
    {"name": "d", "after": ["c", "c"], "prefer_after": ["b"], "on_error": "continue"},
    {"name": "m", "type": "map", "depends_on": ["c"], "tolerate": "2.5%", "fallback": []},
    {"name": "n", "type": "map", "after": ["d"], "tolerate": 3.0}, {"name": "o", "type": "map", "tolerate": 0}]}')).definition -> 'steps',
  '[
    {"name": "a", "type": "single", "if": "$.run.n > 1"},
    {"name": "b", "type": "single", "dependencies": ["a"], "if": "lax $.a.n == 1", "otherwise": "fail", "fallback": null},
    {"name": "c", "type": "single", "dependencies": ["a", "b"], "join": "any"},
    {"name": "d", "type": "single", "after": ["c"], "prefer_after": ["b"], "on_error": "continue"},
    {"name": "m", "type": "map", "map_over": "c", "dependencies": ["c"], "tolerate": "2.5%", "fallback": []},
    {"name": "n", "type": "map", "after": ["d"], "tolerate": 3},
    {"name": "o", "type": "map"}]'::jsonb,
  'what means nothing is absent, a condition is as it was written');

select results_eq(
  $$select step_slug collate "default", joins, otherwise, condition, dependencies::text collate "default", after::text collate "default",
    prefer_after::text collate "default", dependents::text collate "default", leaf, goes_on, fallback, tolerate_tasks, tolerate_share
  from quantumflow.workflow_steps
  order by step_index$$,
  $$values
    ('a', 'all', 'skip', 'strict $.run.n > 1', '{}', '{}', '{}', '{b,c}', false, false, null::jsonb, null::int, null::numeric),
    ('b', 'all', 'fail', 'lax $.a.n == 1', '{a}', '{}', '{}', '{c,d}', false, false, 'null', null, null),
    ('c', 'any', 'skip', null, '{a,b}', '{}', '{}', '{d,m}', false, false, null, null, null),
    ('d', 'all', 'skip', null, '{}', '{c,b}', '{b}', '{n}', true, true, null, null, null),
    ('m', 'all', 'skip', null, '{c}', '{}', '{}', '{}', true, false, '[]', null, 0.025),
    ('n', 'all', 'skip', null, '{}', '{d}', '{}', '{}', true, false, null, 3, null),
    ('o', 'all', 'skip', null, '{}', '{}', '{}', '{}', true, false, null, null, null)$$,
  'all of it is compiled; who only comes after takes nothing');

select results_eq(
  $$select step_slug collate "default", depends_on_step collate "default", order_only from quantumflow.workflow_step_edges order by 1, 2$$,
  $$values ('b', 'a', false), ('c', 'a', false), ('c', 'b', false), ('d', 'b', true), ('d', 'c', true), ('m', 'c', false), ('n', 'd', true)$$,
  'edges are of either kind');

select is(
  (quantumflow.define_flow(jsonb_set(quantumflow.get_flow('w'), '{steps}', (
    select jsonb_agg(s order by s ->> 'name' desc) from jsonb_array_elements(quantumflow.get_flow('w') -> 'steps') s)))).version,
  1,
  'and it is the same content again');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
