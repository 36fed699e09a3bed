begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.set_limit('tenant', 1);
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "limit": {"name": "tenant", "key": "$.run.tenant"}}]}');
select quantumflow.define_flow('{"slug": "m", "steps": [{"name": "a", "type": "map", "limit": {"name": "tenant", "key": "$.item.t"}}]}');
select quantumflow.start_flow('w', '{"tenant": "x"}', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '{"tenant": "x"}', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('w', '{"tenant": "y"}', run_id => '10000000-0000-0000-0000-000000000003');
select quantumflow.start_flow('w', '{"tenant": null}', run_id => '10000000-0000-0000-0000-000000000004');
select quantumflow.start_flow('w', '{"tenant": {"b": 1, "a": 2}}', run_id => '10000000-0000-0000-0000-000000000005');
select quantumflow.start_flow('w', jsonb_build_object('tenant', repeat('z', 100000)), run_id => '10000000-0000-0000-0000-000000000006');
select quantumflow.start_flow('m', '[{"t": "x"}, {"t": "q"}]', run_id => '10000000-0000-0000-0000-000000000007');

select results_eq(
  'select right(run_id::text, 1), limit_key from quantumflow.step_tasks where right(run_id::text, 1) <> ''6'' order by 1, 2',
  $$values ('1', '"x"'), ('2', '"x"'), ('3', '"y"'), ('4', 'null'), ('5', '{"a": 2, "b": 1}'), ('7', '"q"'), ('7', '"x"')$$,
  'a key may be anything');
select ok(
  (select length(limit_key) < 200 and starts_with(limit_key, '"zzz') from quantumflow.step_tasks where right(run_id::text, 1) = '6'),
  'a long one is cut');
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 20);
select results_eq(
  'select right(run_id::text, 1), task_index from got order by 1',
  $$values ('1', 0), ('3', 0), ('4', 0), ('5', 0), ('6', 0), ('7', 1)$$, 'one of each key is handed out');
select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid(), 20)', 'and nothing else');
select is((select waiting from quantumflow.list_limits() where key = '"x"'), 2::bigint, 'two wait for one key');
select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from got where right(run_id::text, 1) = '3';
select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid(), 20)', 'the end of another key lets none of them go');
select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from got where right(run_id::text, 1) = '1';
select results_eq(
  'select right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 20)', $$values ('2')$$, 'that of theirs does, the oldest first');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.start_flow('w', '{"tenants": "x"}', run_id => '10000000-0000-0000-0000-000000000008');
select results_eq(
  $$select status, error_message from quantumflow.workflow_runs where right(id::text, 1) = '8'$$,
  $$values ('failed', 'step a: its limit tenant has no key: strict $.run.tenant leads to no one value')$$,
  'a run whose key is unknown fails');
select results_eq(
  'select kind, attempt, task_index from quantumflow.task_failures', $$values ('condition', 0, 0)$$, 'as by a condition that is unknown');

select * from finish();
rollback;
