begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

update quantumflow.workflow_runs set status = 'failed', failed_at = now() where id = '10000000-0000-0000-0000-000000000001';
delete from pgmq.q_quantum_flow_queue where message ->> 'task_index' = '1';

select results_eq(
  'select rule, step_slug, task_index, action from quantumflow.repair(false)',
  $$values
    (1, 'm', 0, 'done: cancel it'),
    (1, 'm', 1, 'done: cancel it'),
    (2, 'm', 1, 'done: cancel it'),
    (9, 'm', null, 'done: cancel it'),
    (9, 'z', null, 'done: cancel it')$$,
  'its tasks and steps');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'the other run goes on');

select * from finish();
rollback;
