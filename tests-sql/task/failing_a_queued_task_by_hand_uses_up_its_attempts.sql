begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 2, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select is(quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a'), 'retrying', 'once');
select is(quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a'), 'failed', 'twice');
select results_eq(
  'select attempt, error_message from quantumflow.task_failures order by 1',
  $$values (1, 'failed without a message'), (2, 'failed without a message')$$,
  'both are on record');
select results_eq(
  'select r.status, r.error_message, t.attempts from quantumflow.workflow_runs r, quantumflow.step_tasks t',
  $$values ('failed', 'step a: failed without a message', 2)$$,
  'the run has failed');
select is_empty('select from pgmq.q_quantum_flow_queue', 'its message is gone');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
