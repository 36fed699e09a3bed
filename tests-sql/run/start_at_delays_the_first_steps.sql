begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "two", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.start_flow(
  'two', run_id => '10000000-0000-0000-0000-000000000001', start_at => '2030-01-01 02:00:00+00', priority => 60);

select results_eq(
  'select status, created_at, started_at from quantumflow.workflow_runs',
  $$values ('started', '2030-01-01 00:00:00+00'::timestamptz, '2030-01-01 02:00:00+00'::timestamptz)$$,
  'started_at is that moment');
select results_eq(
  'select t.queued_at, q.vt from quantumflow.step_tasks t join pgmq.q_quantum_flow_queue q on q.msg_id = t.message_id',
  $$values ('2030-01-01 02:00:00+00'::timestamptz, '2030-01-01 02:00:00+00'::timestamptz)$$,
  'the message is invisible until then, whatever the priority');

set local quantumflow.now = '2030-01-01 01:59:59.9+00';
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid())', 'too early to claim');
set local quantumflow.now = '2030-01-01 02:00:00+00';
select results_eq(
  'select step_slug from quantumflow.claim_tasks(gen_random_uuid())', $$values ('a')$$, 'then it can be claimed');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select results_eq(
  'select vt from pgmq.q_quantum_flow_queue',
  $$values ('2030-01-01 01:59:00+00'::timestamptz)$$,
  'steps after the first wait for nothing more');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
