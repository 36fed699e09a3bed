begin;
select plan(5);

select lives_ok(
  $$
  select quantumflow.define_flow('{"slug": "order", "steps": [
    {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["b"]}, {"name": "d"}]}')
  $$,
  'a chain of three, and a step');

select throws_ok(
  $$insert into quantumflow.workflow_step_edges values ('order', 1, 'a', 'c')$$,
  'QF107', 'steps depend on each other in a cycle: a -> c -> b -> a', 'by INSERT');

select throws_ok(
  $$
  insert into quantumflow.workflow_step_edges
  values ('other', 1, 'x', 'y'), ('other', 1, 'y', 'z'), ('other', 1, 'z', 'x')
  $$,
  'QF107', 'steps depend on each other in a cycle: x -> y -> z -> x', 'within one INSERT, of a workflow that is nowhere else');

select throws_ok(
  $$update quantumflow.workflow_step_edges e set depends_on_step = 'c' where e.step_slug = 'b'$$,
  'QF107', 'steps depend on each other in a cycle: b -> c -> b', 'by UPDATE');

select lives_ok(
  $$insert into quantumflow.workflow_step_edges values ('order', 1, 'd', 'c'), ('other', 1, 'a', 'c')$$,
  'edges that close none are taken, and other workflows do not count');

select * from finish();
rollback;
