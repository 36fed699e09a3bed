begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "run_timeout": 3600, "steps": [
  {"name": "ok", "type": "wait"}, {"name": "nap", "type": "sleep", "seconds": 0, "dependencies": ["ok"]}, {"name": "z", "dependencies": ["nap"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'ok', '1');
select quantumflow.settle();
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'z', retryable => false);

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  'select step_slug, status from quantumflow.step_states order by 1',
  $$values ('nap' collate "C", 'completed'), ('ok', 'completed'), ('z', 'started')$$, 'a retry keeps what was waited for');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select is_empty('select from pgmq.q_quantum_flow_system', 'what ends takes its deadline along');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', from_step => 'ok');
select results_eq(
  'select step_slug, until from quantumflow.list_waits()', $$values ('ok', null::timestamptz)$$, 'from the wait on it waits again');
select results_eq('select settled from quantumflow.settle()', 'values (0)', 'not for what was taken');
select quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'ok', '2');
select is((select output from quantumflow.step_tasks where step_slug = 'ok'), '2'::jsonb, 'for a new one');
select results_eq(
  $$select step_slug, attempt, outcome from quantumflow.list_attempts('10000000-0000-0000-0000-000000000001', 'ok') order by retries$$,
  $$values ('ok', 1, 'undone'), ('ok', 1, 'completed')$$, 'both are told of');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
