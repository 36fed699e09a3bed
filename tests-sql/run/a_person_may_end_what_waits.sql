begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "run_timeout": 60, "retry_delay": 5, "steps": [
  {"name": "nap", "type": "sleep", "seconds": 3600}, {"name": "ok", "type": "wait"}, {"name": "z", "dependencies": ["nap"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'nap', output => '"woken"'), 'completed', 'a sleep');
select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000001', '_run_timeout'), 'completed', 'a deadline, which is off then');
select results_eq(
  'select input from quantumflow.claim_tasks(gen_random_uuid())', $$values ('{"run": {}, "nap": "woken"}'::jsonb)$$, 'what waits goes on');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
set local quantumflow.now = '2030-01-01 00:02:00+00';
select results_eq('select settled from quantumflow.settle()', 'values (0)', 'nothing is due any more');
select is(
  quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'ok', error_message => 'refused'), 'failed',
  'to fail a wait is for good, whatever the flow says of attempts');
select results_eq(
  'select status, error_message from quantumflow.workflow_runs', $$values ('failed', 'step ok: refused')$$, 'as a task');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
