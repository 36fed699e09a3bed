begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_failure": "mourn", "max_attempts": 1, "max_lost": 2, "steps": [{"name": "a", "max_attempts": 1}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select * from quantumflow.sweep();

select results_eq('select attempt from quantumflow.claim_tasks(gen_random_uuid(), lease => ''10 s'')', 'values (2)', 'once more');
set local quantumflow.now = '2030-01-01 00:00:20+00';
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid())', 'until it was lost max_lost times');
select results_eq(
  'select status, attempts, losses from quantumflow.step_tasks where step_slug = ''_on_failure''',
  $$values ('failed', 2, 2)$$, 'then it has failed');
select is((select status from quantumflow.workflow_runs), 'failed', 'and the run is as it was');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
