begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

delete from pgmq.q_quantum_flow_queue where message ->> 'task_index' = '1';
update quantumflow.step_tasks t set message_id = o.message_id
from quantumflow.step_tasks o where (t.step_slug, t.task_index, o.step_slug, o.task_index) = ('m', 1, 'm', 0);

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (2, 'm', 1, 'the task is queued but its message is not in the queue')$$,
  'and nothing else');

select * from finish();
rollback;
