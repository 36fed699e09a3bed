begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "done", "queue": "queue_one", "steps": [{"name": "a"}, {"name": "b", "queue": "queue_two"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 10, '{queue_one,queue_two}', lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select results_eq('select tasks from quantumflow.sweep()', 'values (2), (0), (0)', 'steps'' queues');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'b');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 10, '{queue_one}', lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:20+00';
select results_eq('select tasks from quantumflow.sweep()', 'values (1), (0), (0)', 'callbacks of runs that have ended, too');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
