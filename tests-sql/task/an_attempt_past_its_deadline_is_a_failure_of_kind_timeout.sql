begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 2, "max_lost": 1, "retry_delay": 100, "steps": [{"name": "a", "timeout": 10}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), lease => '1 hour');
set local quantumflow.now = '2030-01-01 00:00:10+00';

select results_eq('select * from quantumflow.sweep()', $$values ('lapsed leases', 1), ('unfinished ends', 0), ('schedules', 0)$$, 'the sweep finds it');
select results_eq(
  'select status, attempts, losses, lease_token, error_message, queued_at between ''2030-01-01 00:01:50+00'' and ''2030-01-01 00:02:15+00''
   from quantumflow.step_tasks',
  $$values ('queued', 1, 0, null::bigint, 'timed out after 00:00:10', true)$$,
  'it is retried after its delay, and no loss');
select results_eq(
  'select attempt, kind, error_message, lease_token = (select lease_token from claimed) from quantumflow.task_failures',
  $$values (1, 'timeout', 'timed out after 00:00:10', true)$$, 'on record as a timeout');
select is((select q.vt = t.queued_at from pgmq.q_quantum_flow_queue q, quantumflow.step_tasks t), true, 'its message waits');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from claimed), 'stale', 'the late result is stale');

set local quantumflow.now = '2030-01-01 00:03:00+00';
select is((select attempt from quantumflow.claim_tasks(gen_random_uuid(), 5)), 2, 'the second attempt');
set local quantumflow.now = '2030-01-01 00:03:10+00';
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 5)', 'a claim finds that it timed out, too');
select results_eq(
  'select r.status, r.error_message, t.status, t.attempts, t.losses from quantumflow.workflow_runs r, quantumflow.step_tasks t',
  $$values ('failed', 'step a: timed out after 00:00:10 (attempt 2, lost 0 times)', 'failed', 2, 0)$$,
  'timeouts use up max_attempts');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
