begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());
set local quantumflow.now = '2030-01-01 00:00:07+00';

select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '{"x": [1, null]}', lease_token) from claimed),
  'completed', 'the outcome');
select results_eq(
  'select status, output, started_at, completed_at, attempts, lease_token is not null from quantumflow.step_tasks',
  $$values ('completed', '{"x": [1, null]}'::jsonb, '2030-01-01 00:00:00+00'::timestamptz,
    '2030-01-01 00:00:07+00'::timestamptz, 1, true)$$,
  'the task');
select results_eq(
  'select status, remaining_tasks, output, completed_at from quantumflow.step_states',
  $$values ('completed', 0, null::jsonb, '2030-01-01 00:00:07+00'::timestamptz)$$,
  'its step, which does not store the output again');
select results_eq(
  'select status, remaining_steps, output, completed_at, error_message from quantumflow.workflow_runs',
  $$values ('completed', 0, '{"a": {"x": [1, null]}}'::jsonb, '2030-01-01 00:00:07+00'::timestamptz, null::text)$$,
  'its run');
select is_empty('select from pgmq.q_quantum_flow_queue', 'its message is gone');
select is_empty('select from pgmq.a_quantum_flow_queue', 'and not archived');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
