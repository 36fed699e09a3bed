begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');

select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
update quantumflow.workflow_runs set status = 'started' where id = '10000000-0000-0000-0000-000000000001';

select results_eq(
  'select step_slug, task_index, action from quantumflow.repair(false)',
  $$values ('m', 0, 'done: wake it'), ('m', 1, 'done: wake it')$$,
  'both are awake');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

select is((select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), 10)), 3, 'and can be claimed');

select * from finish();
rollback;
