begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.step_states set status = 'started', remaining_deps = 0 where step_slug = 'z' and right(run_id::text, 1) = '2';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (3, 'z', null::int, 'remaining_deps is 0 but 1 dependencies are not done'),
    (6, 'z', null, 'the step is started although 1 dependencies are not done'),
    (7, 'z', null, 'the step has 0 of its 1 tasks')$$,
  'and nothing else');

select * from finish();
rollback;
