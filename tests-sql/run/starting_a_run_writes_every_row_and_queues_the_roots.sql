begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{
  "slug": "diamond",
  "steps": [
    {"name": "top"},
    {"name": "left", "dependencies": ["top"]},
    {"name": "right", "dependencies": ["top"]},
    {"name": "bottom", "dependencies": ["left", "right"]}]}');

select is(
  quantumflow.start_flow('diamond', '{"n": 1}', run_id => '10000000-0000-0000-0000-000000000001'),
  '10000000-0000-0000-0000-000000000001'::uuid,
  'the id is returned');

select results_eq(
  'select id, workflow_slug, version, status, input, output, remaining_steps, priority, retries, created_at, started_at
   from quantumflow.workflow_runs',
  $$values (
    '10000000-0000-0000-0000-000000000001'::uuid, 'diamond' collate "C", 1, 'started', '{"n": 1}'::jsonb, null::jsonb, 4, 0, 0,
    '2030-01-01 00:00:00+00'::timestamptz, '2030-01-01 00:00:00+00'::timestamptz)$$,
  'one run, as it was asked for');

select results_eq(
  'select step_slug, status, remaining_deps, remaining_tasks, initial_tasks, started_at is not null
   from quantumflow.step_states order by step_slug',
  $$values
    ('bottom' collate "C", 'created', 2, 1, 1, false),
    ('left', 'created', 1, 1, 1, false),
    ('right', 'created', 1, 1, 1, false),
    ('top', 'started', 0, 1, 1, true)$$,
  'every step has its row, and waits for as many as it depends on');

select results_eq(
  'select step_slug, depends_on_step from quantumflow.step_dependencies order by 1, 2',
  $$values ('bottom' collate "C", 'left' collate "C"), ('bottom', 'right'), ('left', 'top'), ('right', 'top')$$,
  'the edges can be seen');

select results_eq(
  'select step_slug, task_index, status, attempts, losses, queue, queued_at, lease_token from quantumflow.step_tasks',
  $$values ('top' collate "C", 0, 'queued', 0, 0, 'quantum_flow_queue', '2030-01-01 00:00:00+00'::timestamptz, null::bigint)$$,
  'only the root has a task');

select results_eq(
  'select q.message, q.vt, q.read_ct, q.headers
   from pgmq.q_quantum_flow_queue q join quantumflow.step_tasks t on t.message_id = q.msg_id',
  $$values (
    '{"workflow_run_id": "10000000-0000-0000-0000-000000000001", "step_name": "top", "task_index": 0,
      "is_map_task": false}'::jsonb,
    '2030-01-01 00:00:00+00'::timestamptz, 0, null::jsonb)$$,
  'and the one message in the queue names it');

select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'there is no other message');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
