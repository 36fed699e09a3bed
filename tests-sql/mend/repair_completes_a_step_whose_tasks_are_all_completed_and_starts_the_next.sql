begin;
select plan(5);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

update quantumflow.step_tasks t
set status = 'completed', output = to_jsonb(t.task_index), completed_at = now()
where run_id = '10000000-0000-0000-0000-000000000001' and step_slug = 'm';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'm';
update quantumflow.step_tasks t
set status = 'completed', output = '[]', completed_at = now()
where run_id = '10000000-0000-0000-0000-000000000002';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'a';

select results_eq(
  'select rule, step_slug, action from quantumflow.repair(false)',
  $$values
    (3, 'm', 'done: recount'), (3, 'a', 'done: recount'), (8, 'm', 'done: complete it'), (8, 'a', 'done: complete it')$$,
  'a map and a single step');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

select is(
  (select output from quantumflow.step_states where run_id = '10000000-0000-0000-0000-000000000001' and step_slug = 'm'), '[0, 1]', 'the map is gathered');
select results_eq(
  'select run_id, step_slug from quantumflow.claim_tasks(gen_random_uuid(), 10) order by run_id',
  $$values ('10000000-0000-0000-0000-000000000001'::uuid, 'z'), ('10000000-0000-0000-0000-000000000002', 'z')$$,
  'what waited for it has started, beyond a map of nothing too');
select is_empty('select * from quantumflow.repair(false)', 'and nothing is left to do');

select * from finish();
rollback;
