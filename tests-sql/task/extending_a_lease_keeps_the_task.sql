begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "timeout": 100}]}');
select quantumflow.start_flow('w');
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', lease => '30 s');
create temporary view extended as
select e.state, e.lease_expires_at, (select q.vt from pgmq.q_quantum_flow_queue q) as vt
from quantumflow.extend_leases('a0000000-0000-0000-0000-00000000000a', (select jsonb_agg(to_jsonb(c)) from claimed c), '30 s') e;

set local quantumflow.now = '2030-01-01 00:00:20+00';
select results_eq('select state, lease_expires_at from extended',
  $$values ('held', '2030-01-01 00:00:50+00'::timestamptz)$$, 'for another 30 seconds from now');
select results_eq('select vt, read_ct from pgmq.q_quantum_flow_queue',
  $$values ('2030-01-01 00:00:50+00'::timestamptz, 1)$$, 'its message stays hidden for as long');
set local quantumflow.now = '2030-01-01 00:00:49+00';
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid())', 'nobody else gets it');
set local quantumflow.now = '2030-01-01 00:01:20+00';
select results_eq('select state, lease_expires_at from extended',
  $$values ('held', '2030-01-01 00:01:40+00'::timestamptz)$$, 'also late, if nobody took it; never past the deadline');
select results_eq('select vt from pgmq.q_quantum_flow_queue',
  $$values ('2030-01-01 00:01:40+00'::timestamptz)$$, 'nor its message');
set local quantumflow.now = '2030-01-01 00:01:30+00';
select state from quantumflow.extend_leases(
  'a0000000-0000-0000-0000-00000000000a', (select jsonb_agg(to_jsonb(c)) from claimed c), '1 s');
select results_eq('select vt from pgmq.q_quantum_flow_queue',
  $$values ('2030-01-01 00:01:40+00'::timestamptz)$$, 'a lease is never shortened');
select results_eq('select attempts, losses, started_at from quantumflow.step_tasks',
  $$values (1, 0, '2030-01-01 00:00:00+00'::timestamptz)$$, 'it is still the first attempt');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
