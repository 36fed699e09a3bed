begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 315360000, "max_attempts": 1000000, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select lives_ok(
  $$select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a') from generate_series(1, 1000)$$,
  'a thousand failures');
select results_eq(
  'select t.status, t.attempts, t.queued_at, q.vt from quantumflow.step_tasks t, pgmq.q_quantum_flow_queue q',
  $$values ('queued', 1000,
    '2030-01-01 00:00:00+00'::timestamptz + interval '315360000 s', '2030-01-01 00:00:00+00'::timestamptz + interval '315360000 s')$$,
  'the delay is what the step says');
select is((select count(*)::int from quantumflow.task_failures), 1000, 'all are on record');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
