begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "amount"}, {"name": "nothing"}, {"name": "list"}, {"name": "inner"},
  {"name": "each", "type": "map", "dependencies": ["list"]},
  {"name": "middle", "dependencies": ["inner"]},
  {"name": "last", "dependencies": ["amount", "nothing", "each", "middle"]}]}');
select quantumflow.start_flow('w', '{"amount": "of the run", "list": [9]}', run_id => '10000000-0000-0000-0000-000000000001');

-- What has been claimed and has that output, null for none.
create function pg_temp.result(p_step_slug text, p_task_index int, p_output jsonb) returns jsonb language sql as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'run_id', t.run_id, 'step_slug', t.step_slug, 'task_index', t.task_index, 'lease_token', t.lease_token, 'output', p_output))
  from quantumflow.step_tasks t
  where (t.step_slug, t.task_index) = (p_step_slug, p_task_index)
$$;

select results_eq(
  'select distinct input from quantumflow.claim_tasks(gen_random_uuid(), 10)',
  $$values ('{"run": {"amount": "of the run", "list": [9]}}'::jsonb)$$,
  'a root is given the run''s input');
select count(*) from quantumflow.complete_tasks(jsonb_build_array(
  pg_temp.result('amount', 0, '{"amount": 5}'), pg_temp.result('nothing', 0, null),
  pg_temp.result('list', 0, '["x", null]'), pg_temp.result('inner', 0, '"hidden"')));
select results_eq(
  'select step_slug, task_index, input from quantumflow.claim_tasks(gen_random_uuid(), 10) order by 1, 2',
  $$values
    ('each', 0, '{"item": "x", "index": 0}'::jsonb),
    ('each', 1, '{"item": null, "index": 1}'),
    ('middle', 0, '{"run": {"amount": "of the run", "list": [9]}, "inner": "hidden"}')$$,
  'a map task its item and index, nothing else');
select count(*) from quantumflow.complete_tasks(jsonb_build_array(
  pg_temp.result('each', 1, null), pg_temp.result('each', 0, '[0]'), pg_temp.result('middle', 0, 'false')));
select results_eq(
  'select input from quantumflow.claim_tasks(gen_random_uuid(), 10)',
  $$values ('{"run": {"amount": "of the run", "list": [9]},
    "amount": {"amount": 5}, "nothing": null, "each": [[0], null], "middle": false}'::jsonb)$$,
  'each direct dependency has a key, whatever the run''s input has; a null output is null');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
