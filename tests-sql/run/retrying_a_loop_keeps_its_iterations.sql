begin;
select plan(16);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [
  {"name": "l", "type": "loop", "until": "$.last == 9", "max_iterations": 3, "keep": 2, "delay": 60}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

-- One fails.
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', 0, '0');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'l', 1, 'no');
select results_eq(
  $$select * from quantumflow.retry_preview('10000000-0000-0000-0000-000000000001')$$, $$values ('l', 'failed', null::int, 1)$$,
  'the preview says what is kept, and not how many will follow');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  'select task_index, status, queued_at from quantumflow.step_tasks order by 1',
  $$values (0, 'completed', '2030-01-01 00:00:00+00'::timestamptz), (1, 'queued', '2030-01-01 00:00:00+00')$$,
  'a retry goes on with the iteration that failed, at once');
select results_eq(
  'select status, initial_tasks, remaining_tasks, max_iterations from quantumflow.step_states', $$values ('started', 2, 1, null::int)$$,
  'of as many as before');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- The maximum is reached.
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', n, to_jsonb(n)) from generate_series(1, 2) n;
select is((select status from quantumflow.workflow_runs), 'failed', 'it has had all of them');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  'select status, initial_tasks, remaining_tasks, max_iterations from quantumflow.step_states', $$values ('started', 4, 1, 6)$$,
  'a retry grants as many again');
select results_eq(
  'select task_index, status from quantumflow.step_tasks order by 1', $$values (1, 'completed'), (2, 'completed'), (3, 'queued')$$,
  'and keeps those that were kept');
select is(
  (select input from quantumflow.claim_tasks(gen_random_uuid())), '{"run": {}, "iteration": 3, "last": 2}'::jsonb, 'the next is given the last output');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', n, to_jsonb(n)) from generate_series(3, 5) n;
select is(
  (select error_message from quantumflow.workflow_runs),
  'step l: it has had 6 iterations, and may have 6 (max_iterations); it does not end by: strict $.last == 9', 'and no more');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- The condition is asked once more: here it says something else, since somebody has changed what it asks for.
update quantumflow.workflow_steps set loop_until = 'strict $.last == 5';
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  'select r.status, r.output, s.initial_tasks from quantumflow.workflow_runs r, quantumflow.step_states s',
  $$values ('completed', '{"l": 5}'::jsonb, 6)$$, 'what would end it now ends it without another iteration');
select is_empty('select * from quantumflow.check_state() where rule > 0', 'no rule is broken');

-- From the step on it begins again, and is other work.
update quantumflow.workflow_steps set loop_until = 'strict $.last == 9';
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', 'l');
select results_eq(
  'select status, initial_tasks, remaining_tasks, max_iterations from quantumflow.step_states', $$values ('started', 1, 1, null::int)$$,
  'from_step begins anew, of as many as the definition says');
select results_eq(
  $$select task_index, fresh_since, input -> 'last' from quantumflow.claim_tasks(gen_random_uuid())$$, $$values (0, 4, 'null'::jsonb)$$,
  'its iterations are fresh, those too that nobody knows of any more');
select results_eq('select task_index, undone_by from quantumflow.undone_tasks order by 1', 'values (4, 4), (5, 4)', 'what is left of those before');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
