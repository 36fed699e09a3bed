begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_failure": "mourn", "max_attempts": 1, "steps": [
  {"name": "list", "command": "make_list"},
  {"name": "each", "type": "map", "dependencies": ["list"]},
  {"name": "after", "dependencies": ["each"]}]}');
select quantumflow.start_flow(
  'w', '{"a": 1}', run_id => '10000000-0000-0000-0000-000000000001', priority => 2, idempotency_key => 'k',
  headers => '{"h": 1}');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '[1, 2, 3]');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 2, '9');

select is(
  quantumflow.status('10000000-0000-0000-0000-000000000001'),
  '{"run_id": "10000000-0000-0000-0000-000000000001", "workflow_slug": "w", "version": 1, "status": "started",
    "input": {"a": 1}, "output": null, "error_message": null, "remaining_steps": 2, "priority": 2, "retries": 0, "gave_up": null,
    "headers": {"h": 1}, "idempotency_key": "k", "parent": null, "root": null,
    "created_at": "2030-01-01T00:00:00+00:00", "started_at": "2030-01-01T00:00:00+00:00", "paused_at": null,
    "ended_at": null, "deadline": null,
    "steps": [
      {"step_slug": "list", "step_type": "single", "command": "make_list", "status": "completed", "depends_on": [],
       "after": [], "condition": null, "saw": null, "skip_reason": null, "fell_back": false, "failed_tasks": 0, "signals": null, "until": null, "iterations": null, "max_iterations": null,
       "child_flow": null, "child": null, "progress": null,
       "remaining_deps": 0, "started_at": "2030-01-01T00:00:00+00:00", "ended_at": "2030-01-01T00:00:00+00:00",
       "error_message": null, "tasks": {"total": 1, "completed": 1, "failures": 0}},
      {"step_slug": "each", "step_type": "map", "command": "each", "status": "started", "depends_on": ["list"],
       "after": [], "condition": null, "saw": null, "skip_reason": null, "fell_back": false, "failed_tasks": 0, "signals": null, "until": null, "iterations": null, "max_iterations": null,
       "child_flow": null, "child": null, "progress": null,
       "remaining_deps": 0, "started_at": "2030-01-01T00:00:00+00:00", "ended_at": null,
       "error_message": null, "tasks": {"total": 3, "completed": 1, "queued": 2, "failures": 0}},
      {"step_slug": "after", "step_type": "single", "command": "after", "status": "created", "depends_on": ["each"],
       "after": [], "condition": null, "saw": null, "skip_reason": null, "fell_back": false, "failed_tasks": 0, "signals": null, "until": null, "iterations": null, "max_iterations": null,
       "child_flow": null, "child": null, "progress": null,
       "remaining_deps": 1, "started_at": null, "ended_at": null,
       "error_message": null, "tasks": {"total": 0, "failures": 0}}],
    "callbacks": []}'::jsonb,
  'while it runs, the steps in the order of the definition');

set local quantumflow.now = '2030-01-01 00:00:05+00';
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'each', 0, 'boom');

select is(
  quantumflow.status('10000000-0000-0000-0000-000000000001') - array['steps', 'input', 'headers'],
  '{"run_id": "10000000-0000-0000-0000-000000000001", "workflow_slug": "w", "version": 1, "status": "failed",
    "output": null, "error_message": "step each, task 0: boom", "remaining_steps": 2, "priority": 2, "retries": 0,
    "gave_up": null, "idempotency_key": "k", "parent": null, "root": null,
    "created_at": "2030-01-01T00:00:00+00:00", "started_at": "2030-01-01T00:00:00+00:00", "paused_at": null,
    "ended_at": "2030-01-01T00:00:05+00:00", "deadline": null,
    "callbacks": [{"step_slug": "_on_failure", "status": "queued", "error_message": null}]}'::jsonb,
  'when it has failed');
select is(
  jsonb_path_query_array(quantumflow.status('10000000-0000-0000-0000-000000000001'), '$.steps[*].tasks'),
  '[{"total": 1, "completed": 1, "failures": 0},
    {"total": 3, "completed": 1, "failed": 1, "cancelled": 1, "failures": 1},
    {"total": 0, "failures": 0}]'::jsonb,
  'with its tasks counted');
select is(
  quantumflow.status('10000000-0000-0000-0000-000000000001', summary => true),
  quantumflow.status('10000000-0000-0000-0000-000000000001') - array['steps', 'input', 'callbacks', 'deadline'],
  'a summary is its row, without the input');
select throws_ok(
  $$select quantumflow.status('10000000-0000-0000-0000-000000000009')$$, 'QF201', null, 'an unknown run is refused');
select throws_ok(
  $$select quantumflow.status('10000000-0000-0000-0000-000000000009', true)$$, 'QF201', null, 'and so is a summary of one');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
