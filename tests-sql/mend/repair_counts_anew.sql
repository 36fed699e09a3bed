begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

update quantumflow.workflow_runs set remaining_steps = 7 where id = '10000000-0000-0000-0000-000000000001';
update quantumflow.step_states set remaining_tasks = 1 where run_id = '10000000-0000-0000-0000-000000000001' and step_slug = 'm';
update quantumflow.step_states set remaining_deps = 3 where run_id = '10000000-0000-0000-0000-000000000001' and step_slug = 'z';

select results_eq(
  'select step_slug, problem, action from quantumflow.repair(false)',
  $$values
    ('m', 'remaining_tasks is 1 of 2 but 0 tasks are completed', 'done: recount'),
    ('z', 'remaining_deps is 3 but 1 dependencies are not done', 'done: recount'),
    (null, 'remaining_steps is 7 but 2 steps are not done', 'done: recount')$$,
  'what is wrong is counted');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0, '1');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 1, '2');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'z', output => '3');
select is((select output from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000001'), '{"z": 3}', 'and the run gets to its end');

select * from finish();
rollback;
