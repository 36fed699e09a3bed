begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

update quantumflow.step_tasks t
set status = 'completed', output = to_jsonb(t.task_index), completed_at = now()
where run_id = '10000000-0000-0000-0000-000000000001' and step_slug = 'm';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'm';
update quantumflow.step_states
set status = 'completed', remaining_tasks = 0, output = '[0, 1]', completed_at = now()
where run_id = '10000000-0000-0000-0000-000000000001' and step_slug = 'm';

select results_eq(
  'select rule, step_slug, action from quantumflow.repair(false)',
  $$values
    (3, 'z', 'done: recount'), (3, null, 'done: recount'), (6, 'z', 'done: start it')$$,
  'its counters are right, and it has started');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

select is(
  (select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 10) where run_id = '10000000-0000-0000-0000-000000000001'), 'z', 'it can be claimed');

select * from finish();
rollback;
