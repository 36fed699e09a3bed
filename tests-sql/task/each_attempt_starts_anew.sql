begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a');

set local quantumflow.now = '2030-01-01 00:00:05+00';
select quantumflow.fail_task(run_id, step_slug, task_index, 'x', lease_token) from claimed;
insert into claimed select * from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b');

select results_eq('select attempt from claimed order by 1', 'values (1), (2)', 'attempts are counted by claims');
select is((select count(distinct lease_token)::int from claimed), 2, 'with a new token');
select is((select count(distinct message_id)::int from claimed), 1, 'and the same message');
select results_eq(
  'select t.status, t.attempts, t.worker_id, t.started_at, t.lease_token = c.lease_token
   from quantumflow.step_tasks t, claimed c where c.attempt = 2',
  $$values ('started', 2, 'b0000000-0000-0000-0000-00000000000b'::uuid, '2030-01-01 00:00:05+00'::timestamptz, true)$$,
  'started_at and worker are the latest attempt''s');
select results_eq(
  'select vt, read_ct from pgmq.q_quantum_flow_queue', $$values ('2030-01-01 00:01:05+00'::timestamptz, 2)$$,
  'read twice');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
