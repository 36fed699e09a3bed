begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "timeout": 10}]}');
select quantumflow.start_flow('w');

select results_eq(
  $$select lease_expires_at, deadline from quantumflow.claim_tasks(gen_random_uuid(), lease => '1 hour')$$,
  $$values ('2030-01-01 00:00:10+00'::timestamptz, '2030-01-01 00:00:10+00'::timestamptz)$$,
  'nobody holds a task longer than its timeout');
select results_eq(
  'select vt from pgmq.q_quantum_flow_queue', $$values ('2030-01-01 00:00:10+00'::timestamptz)$$, 'nor its message');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
