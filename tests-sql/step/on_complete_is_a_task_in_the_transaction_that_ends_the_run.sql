begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "cheer", "on_failure": "mourn", "queue": "own_queue",
  "max_attempts": 5, "timeout": 7, "steps": [{"name": "a", "max_attempts": 1, "timeout": 99, "queue": "other_queue"}]}');
select quantumflow.start_flow('w', '{"n": 1}', run_id => '10000000-0000-0000-0000-000000000001', priority => 3);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '"out"');

select results_eq(
  'select step_slug, task_index, status, queue from quantumflow.step_tasks where step_slug <> ''a''',
  $$values ('_on_complete' collate "C", 0, 'queued', 'own_queue')$$,
  'one task, in the flow''s own queue');
select results_eq(
  'select message, vt from pgmq.q_own_queue',
  $$values ('{"workflow_run_id": "10000000-0000-0000-0000-000000000001", "step_name": "_on_complete", "task_index": 0,
    "is_map_task": false, "command": "cheer"}'::jsonb, '2029-12-31 23:59:57+00'::timestamptz)$$,
  'with its message, at the run''s priority');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 1, '{own_queue}');
select results_eq(
  'select step_slug, command, input, attempt, max_attempts, deadline - quantumflow._now() from claimed',
  $$values ('_on_complete', 'cheer', '{"run": {"n": 1}, "output": {"a": "out"}}'::jsonb, 1, 5, interval '7 s')$$,
  'input and limits are the run''s and the flow''s');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '"cheered"', lease_token) from claimed), 'completed', 'it is reported as any task');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '"twice"', lease_token) from claimed), 'duplicate', 'once');
select results_eq(
  'select r.status, r.output, r.remaining_steps, t.output from quantumflow.workflow_runs r, quantumflow.step_tasks t where t.step_slug = ''_on_complete''',
  $$values ('completed', '{"a": "out"}'::jsonb, 0, '"cheered"'::jsonb)$$,
  'the run''s output is not changed by it');
select is_empty('select from quantumflow.step_states where step_slug like ''\_%''', 'it is no step of the run');
select is_empty('select from pgmq.q_own_queue', 'no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
