begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('one', start_at => '2029-01-01 00:00:00+00');

select results_eq(
  'select r.started_at, t.queued_at, q.vt
   from quantumflow.workflow_runs r, quantumflow.step_tasks t, pgmq.q_quantum_flow_queue q',
  $$values (
    '2030-01-01 00:00:00+00'::timestamptz, '2030-01-01 00:00:00+00'::timestamptz, '2030-01-01 00:00:00+00'::timestamptz)$$,
  'nothing is back-dated');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
