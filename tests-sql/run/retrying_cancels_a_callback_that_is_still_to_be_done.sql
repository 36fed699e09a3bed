begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "on_failure": "tell", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a');
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');

select is(
  quantumflow.complete_task(run_id, step_slug, task_index, lease_token => lease_token), 'run_ended',
  'who had it is told that it came to nothing')
from claimed;
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a');
select results_eq(
  $$select task_index, status from quantumflow.step_tasks where step_slug = '_on_failure' order by 1$$,
  $$values (0, 'cancelled'), (1, 'queued')$$,
  'the next failure has its own');
select results_eq(
  $$select retries, attempt from quantumflow.task_failures order by 1$$,
  $$values (0, 1), (1, 1)$$,
  'each failure is in the history');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken at the end');

select * from finish();
rollback;
