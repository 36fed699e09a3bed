begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "list"},
  {"name": "each", "type": "map", "dependencies": ["list"]},
  {"name": "again", "type": "map", "dependencies": ["each"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
update quantumflow.workflow_runs set status = 'paused';
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '[]');
update quantumflow.workflow_runs set status = 'started';

select is(quantumflow.start_ready_steps('10000000-0000-0000-0000-000000000001'), 1, 'one step was ready');
select results_eq(
  'select status, output, remaining_steps from quantumflow.workflow_runs',
  $$values ('completed', '{"again": []}'::jsonb, 0)$$,
  'and the run ends in the same call');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
