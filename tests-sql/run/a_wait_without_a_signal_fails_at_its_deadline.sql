begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 1, "max_attempts": 9, "on_failure": "tell", "steps": [
  {"name": "ok", "type": "wait", "timeout": 3600}, {"name": "other", "type": "wait"}, {"name": "z", "dependencies": ["ok"]}]}');
select quantumflow.define_flow('{"slug": "without", "steps": [
  {"name": "ok", "type": "wait", "signals": ["yes", "no"], "timeout": 3600, "fallback": {"signal": "no"}},
  {"name": "z", "dependencies": ["ok"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('without', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('without', run_id => '10000000-0000-0000-0000-000000000003');

set local quantumflow.now = '2030-01-01 01:00:00+00';
select is(
  quantumflow.send_signal('10000000-0000-0000-0000-000000000003', 'yes'), 'delivered',
  'a signal that comes after the deadline, but before anybody noticed, counts');
select results_eq('select settled from quantumflow.settle()', 'values (2)', 'the others have none');
select results_eq(
  'select status, error_message from quantumflow.workflow_runs order by id',
  $$values ('failed', 'step ok: no signal "ok" came within 01:00:00'), ('started', null), ('started', null)$$,
  'that fails a run, unless it goes on without');
select results_eq(
  'select kind, error_message, due_at from quantumflow.task_failures order by run_id',
  $$values
    ('timeout', 'no signal "ok" came within 01:00:00', '2030-01-01 01:00:00+00'::timestamptz),
    ('timeout', 'no signal "yes" or "no" came within 01:00:00', '2030-01-01 01:00:00+00')$$,
  'as a timeout, at once: a flow''s settings are not those of what nobody works on');
select results_eq(
  $$select step_slug, input -> 'failure' ->> 'kind', input -> 'ok' from quantumflow.claim_tasks(gen_random_uuid(), 9) order by run_id$$,
  $$values ('_on_failure', 'timeout', null), ('z', null, '{"signal": "no"}'::jsonb), ('z', null, '{"signal": "yes", "payload": null}')$$,
  'and what comes after it knows');
select is_empty('select from pgmq.q_quantum_flow_system', 'no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  $$select step_slug, until from quantumflow.list_waits()$$,
  $$values ('ok', '2030-01-01 02:00:00+00'::timestamptz), ('other', null)$$, 'a retry waits anew, those first whose deadline comes first');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
