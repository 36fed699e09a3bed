begin;
select plan(1);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 100, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select quantumflow.fail_task(run_id, step_slug, lease_token => lease_token) from quantumflow.claim_tasks(gen_random_uuid());

select results_eq(
  $$select losses, queued_at - '2030-01-01 00:00:10+00' between interval '100 s' and interval '125 s' from quantumflow.step_tasks$$,
  $$values (1, true)$$, 'the delay is that of the first failure');

select * from finish();
rollback;
