begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 1);
update quantumflow.step_states set output = null where step_slug = 'm' and right(run_id::text, 1) = '1';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (7, 'm', null::int, 'the map''s output is not the outputs of its 2 tasks in index order')$$,
  'and nothing else');

select * from finish();
rollback;
