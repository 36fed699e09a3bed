begin;
select plan(5);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

create temporary table before as select * from pgmq.q_quantum_flow_queue;
select pgmq.send('quantum_flow_queue', message) from before where message ->> 'task_index' = '1';
select pgmq.send('quantum_flow_queue', '{"workflow_run_id": "?", "step_name": "m"}');
select pgmq.send(
  'quantum_flow_queue', jsonb_build_object('workflow_run_id', '10000000-0000-0000-0000-000000000001', 'step_name', 'a', 'task_index', 0));
update quantumflow.step_tasks t
set message_id = m.msg_id
from pgmq.q_quantum_flow_queue m
where m.message ->> 'step_name' = 'a'
  and t.step_slug = 'a'
  and t.run_id = '10000000-0000-0000-0000-000000000001'
  and m.message ->> 'workflow_run_id' = '10000000-0000-0000-0000-000000000001';

select results_eq(
  'select step_slug, task_index, problem, action from quantumflow.repair(false)',
  $$values
    ('a', 0, 'the message is in the queue although its task is completed', 'done: remove the message'),
    ('m', 1, 'the message is not the one its task names', 'done: archive the message'),
    ('m', null, 'the message names no task', 'done: archive the message')$$,
  'what is not a live task''s own message goes');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

select results_eq(
  'select msg_id, vt, message from pgmq.q_quantum_flow_queue order by msg_id',
  'select msg_id, vt, message from before order by msg_id', 'the tasks'' own messages are as they were');
select is((select count(*)::int from pgmq.a_quantum_flow_queue), 2, 'what somebody may miss is in the archive');
select is_empty('select * from quantumflow.repair(false)', 'and nothing is left to do');

select * from finish();
rollback;
