begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 9, "on_failure": "mourn", "steps": [
  {"name": "list"}, {"name": "other"}, {"name": "each", "type": "map", "dependencies": ["list"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10);

select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '{"no": "array"}', lease_token) from claimed where step_slug = 'list'),
  'type_violation', 'attempts left or not');
select results_eq(
  'select step_slug, status, output, error_message from quantumflow.step_tasks order by 1',
  $$values
    ('_on_failure' collate "C", 'queued', null::jsonb, null::text),
    ('list', 'failed', '{"no": "array"}', 'the output must be an array, because a map maps over it, but is JSON of type object (QF305)'),
    ('other', 'cancelled', null, null)$$,
  'the output that offended is kept, and the rest is cancelled');
select results_eq(
  'select step_slug, status from quantumflow.step_states order by 1',
  $$values ('each' collate "C", 'cancelled'), ('list', 'failed'), ('other', 'cancelled')$$,
  'the steps');
select results_eq(
  'select status, error_message, output from quantumflow.workflow_runs',
  $$values ('failed',
    'step list: the output must be an array, because a map maps over it, but is JSON of type object (QF305)', null::jsonb)$$,
  'the run');
select results_eq(
  'select step_slug, attempt, kind, worker_id from quantumflow.task_failures',
  $$values ('list' collate "C", 1, 'error', 'a0000000-0000-0000-0000-00000000000a'::uuid)$$,
  'it is on record as a failure');
select results_eq(
  $$select message ->> 'step_name' from pgmq.q_quantum_flow_queue$$, $$values ('_on_failure')$$,
  'only the callback is queued');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '[]', lease_token) from claimed where step_slug = 'list'),
  'duplicate', 'the task cannot be completed any more');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
