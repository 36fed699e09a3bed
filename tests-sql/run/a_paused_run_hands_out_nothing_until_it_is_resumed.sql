begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select results_eq(
  $$select status, paused_at from quantumflow.pause_run('10000000-0000-0000-0000-000000000001')$$,
  $$values ('paused', '2030-01-01 00:00:00+00'::timestamptz)$$,
  'it is paused');
select results_eq('select vt from pgmq.q_quantum_flow_queue', $$values ('infinity'::timestamptz)$$, 'its message is parked');
select is_empty($$select from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001')$$, 'nothing is handed out');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken while it is paused');

set local quantumflow.now = '2030-01-02 00:00:00+00';
select results_eq(
  $$select status, paused_at from quantumflow.resume_run('10000000-0000-0000-0000-000000000001')$$,
  $$values ('started', '2030-01-01 00:00:00+00'::timestamptz)$$,
  'it goes on');
select results_eq(
  'select vt from pgmq.q_quantum_flow_queue',
  $$values ('2030-01-01 00:00:00+00'::timestamptz)$$,
  'its message has its old place');
select results_eq(
  $$select step_slug, attempt from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001')$$,
  $$values ('a', 1)$$,
  'its task is handed out');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
