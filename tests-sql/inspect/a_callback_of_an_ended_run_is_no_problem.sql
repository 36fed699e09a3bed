begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "on_complete": "done", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');

select is((select status from quantumflow.step_tasks where step_slug = '_on_complete'), 'queued', 'it is queued');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
delete from pgmq.q_quantum_flow_queue;
select results_eq(
  'select rule, step_slug, problem from quantumflow.check_state()',
  $$values (2, '_on_complete', 'the task is queued but its message is not in the queue')$$, 'but it needs its message');

select * from finish();
rollback;
