begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 9, "steps": [{"name": "a", "max_lost": 1}]}');
select quantumflow.start_flow('w');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';

select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'nobody gets it a second time');
select results_eq(
  'select r.status, t.status, t.attempts, t.losses from quantumflow.workflow_runs r, quantumflow.step_tasks t',
  $$values ('failed', 'failed', 1, 1)$$, 'the run has failed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
