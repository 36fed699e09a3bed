begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.step_tasks set status = 'completed', output = '1', completed_at = now() where step_slug = 'm' and task_index = 1;
update quantumflow.step_states set remaining_tasks = 1 where step_slug = 'm' and right(run_id::text, 1) = '1';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (2, 'm', 1, 'the message is in the queue although its task is completed')$$,
  'and nothing else');

select * from finish();
rollback;
