begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a", "command": "do_a", "args": {"x": [1]}, "max_attempts": 5, "timeout": 600}]}');
select quantumflow.start_flow('w', '{"n": 1}', run_id => '10000000-0000-0000-0000-000000000001');
set local quantumflow.now = '2030-01-01 00:00:03+00';

create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', lease => '45 s');

select results_eq(
  'select run_id, workflow_slug, step_slug, task_index, command, args, input, attempt, max_attempts,
     lease_expires_at, deadline, queue, headers, losses, step_type from claimed',
  $$values (
    '10000000-0000-0000-0000-000000000001'::uuid, 'w', 'a', 0, 'do_a', '{"x": [1]}'::jsonb, '{"run": {"n": 1}}'::jsonb, 1, 5,
    '2030-01-01 00:00:48+00'::timestamptz, '2030-01-01 00:10:03+00'::timestamptz, 'quantum_flow_queue', null::jsonb, 0, 'single')$$,
  'the task is handed out with all that a worker needs');
select results_eq(
  'select t.status, t.attempts, t.losses, t.worker_id, t.started_at, t.lease_token = c.lease_token, t.message_id = c.message_id
   from quantumflow.step_tasks t, claimed c',
  $$values (
    'started', 1, 0, 'a0000000-0000-0000-0000-00000000000a'::uuid, '2030-01-01 00:00:03+00'::timestamptz, true, true)$$,
  'its row says who has it');
select results_eq(
  'select msg_id = (select message_id from claimed), vt, read_ct from pgmq.q_quantum_flow_queue',
  $$values (true, '2030-01-01 00:00:48+00'::timestamptz, 1)$$,
  'its message is hidden until the lease ends');
select ok((select lease_token between 0 and 9007199254740991 from claimed), 'the token is exact as a JSON number');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
