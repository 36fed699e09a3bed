begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 2, "max_lost": 3, "retry_delay": 0, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';

select results_eq('select * from quantumflow.sweep()', $$values ('lapsed leases', 1), ('unfinished ends', 0), ('schedules', 0)$$, 'the sweep finds it');
select results_eq(
  'select t.status, t.attempts, t.losses, t.lease_token, t.queued_at, t.error_message, q.vt <= quantumflow._now()
   from quantumflow.step_tasks t, pgmq.q_quantum_flow_queue q',
  $$values ('queued', 1, 1, null::bigint, '2030-01-01 00:00:10+00'::timestamptz,
    'lost its worker a0000000-0000-0000-0000-00000000000a', true)$$,
  'the task is ready again at once');
select results_eq(
  'select attempt, kind, worker_id, started_at, ended_at, error_message from quantumflow.task_failures',
  $$values (1, 'lost', 'a0000000-0000-0000-0000-00000000000a'::uuid, '2030-01-01 00:00:00+00'::timestamptz,
    '2030-01-01 00:00:10+00'::timestamptz, 'lost its worker a0000000-0000-0000-0000-00000000000a')$$,
  'it is on record as lost');

select count(*) from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:20+00';
select * from quantumflow.sweep();
select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'x', lease_token) from quantumflow.claim_tasks(gen_random_uuid())),
  'retrying', 'the first failure comes after two losses');
select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'y', lease_token) from quantumflow.claim_tasks(gen_random_uuid())),
  'failed', 'the second is the last: neither spends the other''s budget');
select results_eq(
  'select attempt, kind from quantumflow.task_failures order by 1',
  $$values (1, 'lost'), (2, 'lost'), (3, 'error'), (4, 'error')$$,
  'four attempts');
select is((select attempts - losses from quantumflow.step_tasks), 2, 'of which two failed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
