begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.set_limit('api', 1);
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "limit": "api"}]}');
select quantumflow.start_flow('w', run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(1, 6) n;

select is((select right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 10, lease => '10 s')), '1', 'the first');
set local quantumflow.now = '2030-01-01 00:00:11+00';
select is((select right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 10, lease => '10 s')), '1', 'its lease ran out: it has its slot again');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select is((select right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 10, lease => '10 s')), '2', 'it was cancelled: the next');
select is(
  (select quantumflow.release_tasks(jsonb_agg(t)) from quantumflow.step_tasks t where t.status = 'started'), 1, 'it is handed back');
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 10, lease => '10 s');
select is((select right(run_id::text, 1) from got), '2', 'and has its place still');
select quantumflow.delete_run(id) from quantumflow.cancel_run('10000000-0000-0000-0000-000000000002');
select is((select right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 10)), '3', 'its run was deleted: the next');
-- Somebody has put an end to it behind our back.
update quantumflow.step_tasks set status = 'cancelled' where status = 'started';
select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'nobody has said that the slot is free');
select count(*) from quantumflow.sweep();
select is((select right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 10)), '4', 'a sweep sees it');
select results_eq('select count(*) from quantumflow._limit_slots', 'values (1::bigint)', 'all by one slot');

select * from finish();
rollback;
