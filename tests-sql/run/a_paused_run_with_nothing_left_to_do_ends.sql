begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "done", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
update quantumflow.workflow_runs set status = 'paused';
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '1');

select results_eq(
  'select status, output from quantumflow.workflow_runs', $$values ('completed', '{"a": 1}'::jsonb)$$, 'completed');
select results_eq(
  'select step_slug, command from quantumflow.claim_tasks(gen_random_uuid(), 10)',
  $$values ('_on_complete', 'done')$$,
  'and its callback can be claimed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
