begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "on_complete": "tell", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0, '1');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 1, '2');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'z');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.workflow_runs set retries = 1 where id = '10000000-0000-0000-0000-000000000001';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (1, '_on_complete', 0, 'the callback is queued although its run is completed and was retried 1 times'),
    (8, '_on_complete', 1, 'the run is completed but this callback was not made')$$,
  'and nothing else');

select * from finish();
rollback;
