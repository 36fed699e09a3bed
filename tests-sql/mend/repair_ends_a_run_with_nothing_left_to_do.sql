begin;
select plan(5);

select quantumflow.define_flow('{"slug": "w", "on_complete": "tell", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0, '1');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 1, '2');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'z', output => '3');
delete from quantumflow.step_tasks where step_slug = '_on_complete';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = '_on_complete';
select results_eq(
  'select step_slug, action from quantumflow.repair(false)',
  $$values ('_on_complete', 'done: make it')$$,
  'a callback that was not made is made');
delete from quantumflow.step_tasks where step_slug = '_on_complete';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = '_on_complete';
update quantumflow.workflow_runs
set status = 'started', completed_at = null, output = null, remaining_steps = 1
where id = '10000000-0000-0000-0000-000000000001';

select results_eq(
  'select rule, problem, action from quantumflow.repair(false)',
  $$values
    (3, 'remaining_steps is 1 but 0 steps are not done', 'done: recount'),
    (8, 'the run has no step left but has not ended', 'done: end it')$$,
  'the run is ended');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

select is((select output from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000001'), '{"z": 3}', 'with its output');
select is(
  (select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), 10) where step_slug = '_on_complete'), 1,
  'and its callback');

select * from finish();
rollback;
