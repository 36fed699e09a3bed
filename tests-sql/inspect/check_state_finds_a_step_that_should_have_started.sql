begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.step_states set status = 'created', initial_tasks = null, remaining_tasks = null where step_slug = 'm' and right(run_id::text, 1) = '1';
delete from quantumflow.step_tasks where step_slug = 'm';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'm';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (6, 'm', null::int, 'all dependencies are done but the step has not started')$$,
  'and nothing else');

select * from finish();
rollback;
