begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "start_delay": 300}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');

select is(quantumflow.run_now('10000000-0000-0000-0000-000000000001', 'a'), 'due', 'its delay is over');
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid())', 'it waits');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');
select results_eq('select step_slug from quantumflow.claim_tasks(gen_random_uuid())', $$values ('a')$$, 'and is handed out then');

select * from finish();
rollback;
