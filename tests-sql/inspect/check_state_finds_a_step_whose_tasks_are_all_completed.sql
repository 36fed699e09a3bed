begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.step_tasks set status = 'completed', output = '1', completed_at = now() where step_slug = 'm';
update quantumflow.step_states set remaining_tasks = 0 where step_slug = 'm' and run_id = '10000000-0000-0000-0000-000000000001';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'm';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (8, 'm', null::int, 'all tasks of the step are completed but it has not ended')$$,
  'and nothing else');

select * from finish();
rollback;
