begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "several", "steps": [
  {"name": "list"},
  {"name": "each", "type": "map", "dependencies": ["list"]},
  {"name": "inner", "dependencies": ["list"]},
  {"name": "leaf", "dependencies": ["inner"]},
  {"name": "nothing"}]}');
select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');

select quantumflow.start_flow('several', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '[1, 2]');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 1, '{"k": [null]}');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 0);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'inner', output => '"inner"');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'leaf', output => '"leaf"');
select is((select output from quantumflow.workflow_runs), null::jsonb, 'there is none before the end');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'nothing');

select quantumflow.start_flow('one', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000002', 'a', output => '{"a": 1}');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000002', 'b', output => '{"b": {"c": 2}}');

select results_eq(
  'select status, remaining_steps, output from quantumflow.workflow_runs order by id',
  $$values
    ('completed', 0, '{"each": [null, {"k": [null]}], "leaf": "leaf", "nothing": null}'::jsonb),
    ('completed', 0, '{"b": {"b": {"c": 2}}}')$$,
  'one leaf or several: an object keyed by leaf, maps as arrays in index order, nulls kept');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
