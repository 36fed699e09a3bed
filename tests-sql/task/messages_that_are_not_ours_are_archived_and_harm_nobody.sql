begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
set local client_min_messages = error;
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select pgmq.send(queue_name => 'quantum_flow_queue', msg => m.message, headers => null::jsonb, delay => m.vt)
from (values
  ('{}'::jsonb, '2029-01-01 00:00:00+00'::timestamptz),
  ('[1, 2]', '2029-01-01 00:00:00+00'),
  ('"text"', '2029-01-01 00:00:00+00'),
  ('null', '2029-01-01 00:00:00+00'),
  ('{"workflow_run_id": "nonsense", "step_name": "a", "task_index": 0, "command": "a"}', '2029-01-01 00:00:00+00'),
  ('{"workflow_run_id": 5, "step_name": {"a": 1}, "task_index": "x", "command": "a"}', '2029-01-01 00:00:00+00'),
  ('{"workflow_run_id": "10000000-0000-0000-0000-000000000001", "step_name": "a", "task_index": 99999999999}', '2029-01-01 00:00:00+00'),
  ('{"workflow_run_id": "10000000-0000-0000-0000-000000000001", "step_name": "a", "task_index": -1}', '2029-01-01 00:00:00+00'),
  ('{"workflow_run_id": "10000000-0000-0000-0000-000000000001", "step_name": "a", "task_index": 1, "command": "a"}', '2029-01-01 00:00:00+00'),
  ('{"workflow_run_id": "10000000-0000-0000-0000-000000000001", "step_name": "b", "task_index": 0}', '2029-01-01 00:00:00+00'),
  ('{"workflow_run_id": "10000000-0000-0000-0000-000000000009", "step_name": "a", "task_index": 0}', '2029-01-01 00:00:00+00')
) m (message, vt);

select results_eq(
  'select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 20)', $$values ('a')$$,
  'the task among them is claimed');
select * from quantumflow.sweep();
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'only its message stays in the queue');
select is((select count(*)::int from pgmq.a_quantum_flow_queue), 11, 'the others are in the archive, not lost');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
