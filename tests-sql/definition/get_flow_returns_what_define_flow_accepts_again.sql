begin;
select plan(4);

select lives_ok(
  $$
  select quantumflow.define_flow('{"slug": "order", "title": "Orders", "retry_delay": 1.50, "on_failure": "alarm", "steps": [
    {"slug": "z", "type": "task", "depends_on": [], "start_delay": 0.0, "args": {"b": null, "a": 1.0}},
    {"name": "m", "type": "map", "depends_on": ["z", "z"], "max_attempts": 2.0},
    {"name": "a", "dependencies": ["m", "z"]}
  ]}')
  $$,
  'a flow is defined');

select is(
  quantumflow.get_flow('order'),
  '{"version": "1.0", "slug": "order", "title": "Orders", "retry_delay": 1.5, "on_failure": "alarm", "steps": [
    {"name": "z", "type": "single", "args": {"b": null, "a": 1.0}},
    {"name": "m", "type": "map", "dependencies": ["z"], "map_over": "z", "max_attempts": 2},
    {"name": "a", "type": "single", "dependencies": ["m", "z"]}
  ]}'::jsonb,
  'steps in the order given, under their first names, without what was not given');

select lives_ok($$select quantumflow.start_flow('order')$$, 'a run uses it');

select results_eq(
  $$select d.version, d.definition = quantumflow.get_flow('order') from quantumflow.define_flow(quantumflow.get_flow('order')) d$$,
  'values (1, true)',
  'it is the same content');

select * from finish();
rollback;
