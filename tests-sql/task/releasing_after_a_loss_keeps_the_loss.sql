begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select * from quantumflow.sweep();
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());

select is(quantumflow.release_tasks((select jsonb_agg(to_jsonb(c)) from claimed c)), 1, 'handed back');
select results_eq('select attempts, losses from quantumflow.step_tasks', 'values (1, 1)', 'only its own attempt');
select is((select attempt from quantumflow.claim_tasks(gen_random_uuid())), 2, 'the next is the second again');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
