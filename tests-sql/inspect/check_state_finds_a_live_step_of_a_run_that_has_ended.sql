begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.workflow_runs set status = 'cancelled', cancelled_at = now() where id = '10000000-0000-0000-0000-000000000001';
update quantumflow.step_tasks set status = 'cancelled' where step_slug = 'm';
delete from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'm';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (9, 'm', null::int, 'the step is started although its run is cancelled'),
    (9, 'z', null, 'the step is created although its run is cancelled')$$,
  'and nothing else');

select * from finish();
rollback;
