begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"], "if": "$.a == 1", "max_attempts": 2}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '1');
-- Whoever asks again is told something else.
update quantumflow.workflow_steps set condition = 'strict 1 == 2' where step_slug = 'b';
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'b');
select is((select status from quantumflow.step_tasks where step_slug = 'b'), 'queued', 'a retry of its task asks nobody');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'b');

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select is((select status from quantumflow.step_states where step_slug = 'b'), 'started', 'nor does one of the run');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', from_step => 'a');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '1');
select is(
  (select status from quantumflow.step_states where step_slug = 'b'), 'skipped',
  'unless it runs again because of what comes before it');
update quantumflow.workflow_steps set condition = 'strict $.a == 1' where step_slug = 'b';

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
