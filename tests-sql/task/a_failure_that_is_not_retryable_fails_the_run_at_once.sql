begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 9, "on_failure": "mourn", "on_complete": "cheer", "steps": [
  {"name": "m", "type": "map"}, {"name": "done"}, {"name": "waiting"}, {"name": "later", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', '[0, 1, 2]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'done', output => '1');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0, '1');
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{m}');
set local quantumflow.now = '2030-01-01 00:00:05+00';

select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'no such host', lease_token, retryable => false)
   from claimed where task_index = 1),
  'failed', 'the outcome');
select results_eq(
  'select step_slug, task_index, status, failed_at, error_message from quantumflow.step_tasks order by 1, 2',
  $$values
    ('_on_failure' collate "C", 0, 'queued', null::timestamptz, null::text),
    ('done', 0, 'completed', null, null), ('m', 0, 'completed', null, null),
    ('m', 1, 'failed', '2030-01-01 00:00:05+00', 'no such host'),
    ('m', 2, 'cancelled', null, null), ('waiting', 0, 'cancelled', null, null)$$,
  'its siblings, claimed or queued, are cancelled; what was done stays');
select results_eq(
  'select step_slug, status, error_message, failed_at is not null from quantumflow.step_states order by 1',
  $$values ('done' collate "C", 'completed', null::text, false), ('later', 'cancelled', null, false),
    ('m', 'failed', 'no such host', true), ('waiting', 'cancelled', null, false)$$,
  'its step has failed');
select results_eq(
  'select status, error_message, failed_at, remaining_steps, output from quantumflow.workflow_runs',
  $$values ('failed', 'step m, task 1: no such host', '2030-01-01 00:00:05+00'::timestamptz, 3, null::jsonb)$$,
  'its run too');
select results_eq(
  $$select message ->> 'step_name' from pgmq.q_quantum_flow_queue$$, $$values ('_on_failure')$$,
  'all messages of the run are gone but the callback''s');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '"late"', lease_token) from claimed where task_index = 2),
  'run_ended', 'a sibling''s late result changes nothing');
select is((select output from quantumflow.step_tasks where task_index = 2), null::jsonb, 'nor is it recorded');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
