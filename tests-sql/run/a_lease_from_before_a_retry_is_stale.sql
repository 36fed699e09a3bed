begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 2);
select quantumflow.fail_task(run_id, step_slug, lease_token => lease_token) from claimed where step_slug = 'a';
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
create temp table again as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000002', 2);

select is(quantumflow.complete_task(run_id, step_slug, lease_token => lease_token), 'duplicate', 'the failed attempt has reported')
from claimed
where step_slug = 'a';
select is(quantumflow.complete_task(run_id, step_slug, lease_token => lease_token), 'stale', 'the cancelled one is void')
from claimed
where step_slug = 'b';
select is(quantumflow.complete_task(run_id, step_slug, lease_token => lease_token), 'completed', 'the new one counts')
from again
where step_slug = 'b';
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
