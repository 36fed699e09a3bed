begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
update quantumflow.workflow_runs set remaining_steps = 7;
delete from pgmq.q_quantum_flow_queue;

select results_eq(
  'select rule, run_id, step_slug, task_index, queue from quantumflow.check_state(''10000000-0000-0000-0000-000000000002'')',
  $$values
    (2, '10000000-0000-0000-0000-000000000002'::uuid, 'a', 0, 'quantum_flow_queue'),
    (3, '10000000-0000-0000-0000-000000000002', null, null, null)$$,
  'what is wrong with it');
select is((select count(*)::int from quantumflow.check_state()), 4, 'without one, with all');
select is_empty(
  'select * from quantumflow.check_state(''10000000-0000-0000-0000-000000000003'')', 'with one that is not there, nothing');

select * from finish();
rollback;
