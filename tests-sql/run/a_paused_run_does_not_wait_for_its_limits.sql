begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.set_limit('api', 2);
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "map", "limit": "api"}]}');
select quantumflow.start_flow('w', '[0, 1, 2, 3, 4]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '[0, 1]', run_id => '10000000-0000-0000-0000-000000000002');

select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  'select right(run_id::text, 1), let_go_at is not null from quantumflow._limit_waits',
  $$values ('2', true), ('2', true)$$, 'others are let go in the place of a paused run''s');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select results_eq('select right(run_id::text, 1) from got', $$values ('2'), ('2')$$, 'and are handed out');
select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');
select is((select count(*) from quantumflow._limit_waits where let_go_at is null), 5::bigint, 'a run that is resumed waits again');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select count(*) from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g));
-- Paused behind our back: a claim finds out.
update quantumflow.workflow_runs set status = 'paused' where right(id::text, 1) = '1';
select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'nothing of a paused run is handed out');
select is((select count(*) from quantumflow._limit_waits where let_go_at is not null), 0::bigint, 'what was let go waits no more');
select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');
select is((select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 10)), 2::bigint, 'two are handed out');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
