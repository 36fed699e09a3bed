begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map", "args": {"secret": 1}}]}');
select quantumflow.start_flow('w', '["large"]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.define_flow('{"slug": "v", "queue": "other", "steps": [{"name": "s", "command": "done_by_it"}]}');
select quantumflow.start_flow('v', run_id => '10000000-0000-0000-0000-000000000002');

select results_eq(
  'select message from pgmq.q_quantum_flow_queue',
  $$values ('{"workflow_run_id": "10000000-0000-0000-0000-000000000001", "step_name": "m", "task_index": 0, "is_map_task": true}'::jsonb)$$,
  'run, step, index, and whether it is a map''s');
select results_eq(
  'select message from pgmq.q_other',
  $$values ('{"workflow_run_id": "10000000-0000-0000-0000-000000000002", "step_name": "s", "task_index": 0, "is_map_task": false,
    "command": "done_by_it"}'::jsonb)$$,
  'and the command, where that is not the step''s name');

select * from finish();
rollback;
