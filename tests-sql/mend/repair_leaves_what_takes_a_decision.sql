begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

delete from quantumflow.step_states where step_slug = 'z' and run_id = '10000000-0000-0000-0000-000000000001';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'm';
update quantumflow.step_tasks set status = 'cancelled' where step_slug = 'a' and run_id = '10000000-0000-0000-0000-000000000002';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'a';
create temporary table before as select * from quantumflow.step_tasks;

select set_eq(
  'select rule, run_id, step_slug, action from quantumflow.repair(false)',
  $$values
    (0, '10000000-0000-0000-0000-000000000001'::uuid, 'z', 'none'),
    (2, '10000000-0000-0000-0000-000000000001', 'm', 'none'),
    (3, '10000000-0000-0000-0000-000000000001', null, 'none'),
    (9, '10000000-0000-0000-0000-000000000002', 'a', 'none')$$,
  'a row that is gone, and with it the rest of its run; a task that somebody cancelled');
select set_eq('table quantumflow.step_tasks', 'table before', 'the tasks are as they were');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 0, 'and have no message');

select * from finish();
rollback;
