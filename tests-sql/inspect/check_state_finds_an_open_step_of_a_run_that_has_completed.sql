begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.workflow_runs set status = 'completed', completed_at = now(), remaining_steps = 1 where right(id::text, 1) = '1';
update quantumflow.step_tasks set status = 'completed', output = '1', completed_at = now() where step_slug = 'm';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'm';
update quantumflow.step_states set status = 'completed', completed_at = now(), remaining_tasks = 0, output = '[1, 1]' where step_slug = 'm' and right(run_id::text, 1) = '1';
update quantumflow.step_states set status = 'cancelled', remaining_deps = 0 where step_slug = 'z' and right(run_id::text, 1) = '1';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (9, 'z', null::int, 'the step is cancelled although its run is completed')$$,
  'and nothing else');

select * from finish();
rollback;
