begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 3, "retry_delay": 0, "steps": [{"name": "a"}, {"name": "once", "max_attempts": 1}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table outcomes (n int generated always as identity, outcome text) on commit drop;

insert into outcomes (outcome)
select quantumflow.fail_task(run_id, step_slug, task_index, 'error 1', lease_token) from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{a}');
insert into outcomes (outcome)
select quantumflow.fail_task(run_id, step_slug, task_index, 'error 2', lease_token) from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{a}');
insert into outcomes (outcome)
select quantumflow.fail_task(run_id, step_slug, task_index, 'error 3', lease_token) from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{a}');
select results_eq(
  'select outcome from outcomes order by n', $$values ('retrying'), ('retrying'), ('failed')$$, 'exactly max_attempts attempts');
select results_eq(
  'select status, attempts, error_message from quantumflow.step_tasks where step_slug = ''a''',
  $$values ('failed', 3, 'error 3')$$, 'the task keeps its latest error');
select results_eq(
  'select attempt, kind, error_message from quantumflow.task_failures order by 1',
  $$values (1, 'error', 'error 1'), (2, 'error', 'error 2'), (3, 'error', 'error 3')$$, 'each is on record');
select is((select error_message from quantumflow.workflow_runs), 'step a: error 3', 'the run says which step and why');

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select is(quantumflow.fail_task('10000000-0000-0000-0000-000000000002', 'once'), 'failed', 'with max_attempts 1 there is no retry');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
