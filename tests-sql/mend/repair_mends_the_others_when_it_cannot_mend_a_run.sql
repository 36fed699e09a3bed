begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

update quantumflow.step_tasks set status = 'completed', output = '{}', completed_at = now()
where run_id = '10000000-0000-0000-0000-000000000002';
update quantumflow.step_states set status = 'completed', remaining_tasks = 0, completed_at = now()
where run_id = '10000000-0000-0000-0000-000000000002' and step_slug = 'a';
delete from pgmq.q_quantum_flow_queue;

select results_eq(
  'select rule, step_slug, task_index, action from quantumflow.repair(false)',
  $$values
    (2, 'm', 0, 'done: send it a new message'),
    (2, 'm', 1, 'done: send it a new message'),
    (3, 'm', null, 'not done: cannot get array length of a non-array'),
    (3, null, null, 'not done: cannot get array length of a non-array'),
    (6, 'm', null, 'not done: cannot get array length of a non-array')$$,
  'a map over what is no array cannot start');
select is_empty($$select * from quantumflow.check_state('10000000-0000-0000-0000-000000000001')$$, 'the other run is well');

select * from finish();
rollback;
