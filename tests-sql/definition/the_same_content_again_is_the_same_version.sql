begin;
select plan(4);

select lives_ok(
  $$
  select quantumflow.define_flow('{"slug": "order", "title": "Orders", "timeout": 60, "steps": [
    {"name": "a"},
    {"name": "b", "type": "map", "dependencies": ["a"]},
    {"name": "c", "dependencies": ["a", "b"]},
    {"name": "d", "after": ["a", "b"], "if": "$.run.x == 1"}
  ]}');
  select quantumflow.start_flow('order')
  $$,
  'a version is used');

create temporary table before as
select s.*, s.xmin::text as written from quantumflow.workflow_steps s;

select results_eq(
  $$
  select d.version
  from (
    values
      (quantumflow.define_flow('{"slug": "order", "title": "Orders", "timeout": 60, "steps": [
        {"name": "a"}, {"name": "b", "type": "map", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a", "b"]},
        {"name": "d", "after": ["a", "b"], "if": "$.run.x == 1"}]}')),
      (quantumflow.define_flow('{"slug": "order", "title": "Orders", "timeout": 60.00, "version": "1.0", "steps": [
        {"slug": "c", "type": "task", "depends_on": ["b", "a", "b"], "start_delay": 0},
        {"name": "d", "after": ["b", "a"], "prefer_after": [], "if": "  STRICT  $.run.x == 1\n", "otherwise": "skip"},
        {"slug": "b", "type": "map", "map_over": "a", "depends_on": ["a"]},
        {"name": "a", "type": "single", "dependencies": []}]}'))
  ) as v(version)
  cross join lateral (select (v.version).version) as d
  $$,
  $$values (1), (1)$$,
  'whatever the order of steps and dependencies, and under second names');

select results_eq(
  'select s.*, s.xmin::text as written from quantumflow.workflow_steps s order by s.step_index',
  'select * from before order by step_index',
  'nothing was written');

select is(
  (quantumflow.define_flow('{"slug": "order", "title": "All orders", "timeout": 60, "steps": [
    {"name": "a"}, {"name": "b", "type": "map", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a", "b"]}, {"name": "d"}]}')).version,
  2,
  'another title is other content');

select * from finish();
rollback;
