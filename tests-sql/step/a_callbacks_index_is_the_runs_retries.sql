begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "cheer", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
update quantumflow.workflow_runs set retries = 2;
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');

select results_eq(
  'select step_slug, task_index from quantumflow.claim_tasks(gen_random_uuid())', $$values ('_on_complete', 2)$$, 'so each end has its own');
select is((select message ->> 'task_index' from pgmq.q_quantum_flow_queue), '2', 'its message says so');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
