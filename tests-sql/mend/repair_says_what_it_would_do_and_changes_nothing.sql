begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

update quantumflow.workflow_runs set remaining_steps = 7 where id = '10000000-0000-0000-0000-000000000001';
delete from pgmq.q_quantum_flow_queue where message ->> 'task_index' = '1';
update quantumflow.step_tasks set attempts = 9 where task_index = 1;
prepare told as select rule, run_id, step_slug, task_index, queue, message_id, problem from quantumflow.repair();

select results_eq(
  'select step_slug, task_index, action from quantumflow.repair()',
  $$values
    ('m', 1, 'send it a new message'),
    (null, null, 'recount'),
    ('m', 1, 'none')$$,
  'by default it only says it');
select set_eq(
  'told', 'select rule, run_id, step_slug, task_index, queue, message_id, problem from quantumflow.check_state()',
  'of each problem that check_state() finds');
select is((select remaining_steps from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000001'), 7, 'the counter is as it was');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 2, 'and no message was sent');

select * from finish();
rollback;
