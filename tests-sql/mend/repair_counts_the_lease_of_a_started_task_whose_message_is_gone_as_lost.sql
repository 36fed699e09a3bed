begin;
select plan(6);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

create temporary table claimed as select * from quantumflow.claim_tasks(gen_random_uuid(), 3);
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'm';

select results_eq(
  'select step_slug, task_index, action from quantumflow.repair(false)',
  $$values
    ('m', 0, 'done: send it a new message, and count its lease as lost'),
    ('m', 1, 'done: send it a new message, and count its lease as lost')$$,
  'they get new messages');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token)
   from claimed
   where step_slug = 'm' and task_index = 0),
  'completed', 'a report that comes before anybody notices counts');
-- As a repair sends it that takes no time. A sweep looks at messages only that were read, or sent for later.
update pgmq.q_quantum_flow_queue set enqueued_at = vt;
select is((select tasks from quantumflow.sweep() where action = 'lapsed leases'), 1, 'a sweep notices the other');
select results_eq(
  $$select task_index, attempt from quantumflow.claim_tasks(gen_random_uuid(), 3)$$,
  'values (1, 2)',
  'which is handed out again');
select results_eq(
  'select kind, task_index from quantumflow.task_failures', $$values ('lost', 1)$$, 'as a task that was lost');

select * from finish();
rollback;
