begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 10, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a');
set local quantumflow.now = '2030-01-01 00:00:05+00';

select is(
  (select quantumflow.fail_task(
    run_id, step_slug, task_index, 'first "error"', lease_token, error_details => '{"class": "ValueError"}') from claimed),
  'retrying', 'the outcome');
select results_eq(
  'select status, attempts, losses, error_message, failed_at, queued_at between ''2030-01-01 00:00:15+00'' and ''2030-01-01 00:00:17.5+00''
   from quantumflow.step_tasks',
  $$values ('queued', 1, 0, 'first "error"', null::timestamptz, true)$$,
  'the task is queued again');
select results_eq(
  'select retries, attempt, kind, worker_id, lease_token = (select lease_token from claimed), started_at, ended_at, error_message, error_details
   from quantumflow.task_failures',
  $$values (0, 1, 'error', 'a0000000-0000-0000-0000-00000000000a'::uuid, true, '2030-01-01 00:00:00+00'::timestamptz,
    '2030-01-01 00:00:05+00'::timestamptz, 'first "error"', '{"class": "ValueError"}'::jsonb)$$,
  'the failure is on record with all that was said');
select results_eq(
  'select q.msg_id = c.message_id, q.vt = t.queued_at from pgmq.q_quantum_flow_queue q, claimed c, quantumflow.step_tasks t',
  'values (true, true)',
  'the same message is delayed');
select results_eq(
  'select r.status, s.status, s.remaining_tasks from quantumflow.workflow_runs r, quantumflow.step_states s',
  $$values ('started', 'started', 1)$$,
  'step and run go on');
set local quantumflow.now = '2030-01-01 00:00:14.9+00';
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid())', 'not before');
set local quantumflow.now = '2030-01-01 00:00:17.5+00';
select results_eq(
  'select attempt, message_id = (select message_id from claimed) from quantumflow.claim_tasks(gen_random_uuid())',
  'values (2, true)', 'then the second attempt');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
