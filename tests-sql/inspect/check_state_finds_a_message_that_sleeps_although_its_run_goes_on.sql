begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
select is_empty('select * from quantumflow.check_state()', 'while its run is paused it may');
update quantumflow.workflow_runs set status = 'started' where id = '10000000-0000-0000-0000-000000000001';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (2, 'm', 0, 'the task is queued but its message sleeps for ever'),
    (2, 'm', 1, 'the task is queued but its message sleeps for ever')$$,
  'and nothing else');

select * from finish();
rollback;
