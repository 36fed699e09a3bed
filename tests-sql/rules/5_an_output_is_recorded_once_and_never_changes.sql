begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claims on commit drop as
select 1 as n, * from quantumflow.claim_tasks(gen_random_uuid(), commands => '{a}');
select quantumflow.fail_task(run_id, step_slug, task_index, 'x', lease_token) from claims;
insert into claims select 2, * from quantumflow.claim_tasks(gen_random_uuid(), commands => '{a}');
select quantumflow.complete_task(run_id, step_slug, task_index, '"kept"', lease_token) from claims where n = 2;

select quantumflow.complete_task(run_id, step_slug, task_index, '"other"', lease_token) from claims;
select quantumflow.complete_task(run_id, step_slug, task_index, '"other"') from claims;
select quantumflow.fail_task(run_id, step_slug, task_index, 'other', lease_token) from claims;
select quantumflow.fail_task(run_id, step_slug, task_index, 'other', retryable => false) from claims;
select quantumflow.release_tasks(jsonb_agg(to_jsonb(c))) from claims c;
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 9, commands => ''{a}'')', 'it cannot be claimed again');
select results_eq(
  'select status, output, attempts from quantumflow.step_tasks where step_slug = ''a''', $$values ('completed', '"kept"'::jsonb, 2)$$,
  'whatever is reported');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'b');
select is((select output from quantumflow.workflow_runs), '{"a": "kept", "b": null}'::jsonb, 'it is in the run''s output');
select quantumflow.complete_task(run_id, step_slug, task_index, '"other"', lease_token) from claims;
select is((select output from quantumflow.workflow_runs), '{"a": "kept", "b": null}'::jsonb, 'which does not change either');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
