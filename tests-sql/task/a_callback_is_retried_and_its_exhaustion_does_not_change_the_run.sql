begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "cheer", "max_attempts": 2, "retry_delay": 10, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '1');
create temporary table run on commit drop as select * from quantumflow.workflow_runs;
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());

select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'first', lease_token) from claimed), 'retrying', 'its failure is retried');
select ok((select vt >= '2030-01-01 00:00:10+00' from pgmq.q_quantum_flow_queue), 'after its delay');
set local quantumflow.now = '2030-01-01 00:01:00+00';
truncate claimed;
insert into claimed select * from quantumflow.claim_tasks(gen_random_uuid());
select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'second', lease_token) from claimed), 'failed', 'until its attempts are used up');
select results_eq(
  'select status, attempts, error_message from quantumflow.step_tasks where step_slug = ''_on_complete''',
  $$values ('failed', 2, 'second')$$, 'the task has failed');
select results_eq(
  'select step_slug, attempt, kind, error_message from quantumflow.task_failures order by attempt',
  $$values ('_on_complete' collate "C", 1, 'error', 'first'), ('_on_complete', 2, 'error', 'second')$$, 'with its history');
select set_eq('table quantumflow.workflow_runs', 'table run', 'the run is as it was');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
