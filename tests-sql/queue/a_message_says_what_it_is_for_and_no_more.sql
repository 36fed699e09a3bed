begin;
select plan(1);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map", "args": {"secret": 1}}]}');
select quantumflow.start_flow('w', '["large"]', run_id => '10000000-0000-0000-0000-000000000001');

select results_eq(
  'select message from pgmq.q_quantum_flow_queue',
  $$values ('{"workflow_run_id": "10000000-0000-0000-0000-000000000001", "step_name": "m", "task_index": 0, "is_map_task": true,
    "command": "m"}'::jsonb)$$,
  'run, step, index, whether it is a map''s, and the command');

select * from finish();
rollback;
