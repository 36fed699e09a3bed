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

select results_eq(
  'select distinct input from quantumflow.claim_tasks(gen_random_uuid(), 10)',
  $$values ('{"run": {"amount": "of the run", "list": [9]}}'::jsonb)$$,
  'a root is given the run''s input');
select count(*) from quantumflow.complete_tasks('[
  {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "amount", "task_index": 0, "lease_token": null, "output": {"amount": 5}},
  {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "nothing", "task_index": 0, "lease_token": null},
  {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "list", "task_index": 0, "lease_token": null, "output": ["x", null]},
  {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "inner", "task_index": 0, "lease_token": null, "output": "hidden"}]');
select results_eq(
  'select step_slug, task_index, input from quantumflow.claim_tasks(gen_random_uuid(), 10) order by 1, 2',
  $$values
    ('each', 0, '{"item": "x", "index": 0}'::jsonb),
    ('each', 1, '{"item": null, "index": 1}'),
    ('middle', 0, '{"run": {"amount": "of the run", "list": [9]}, "inner": "hidden"}')$$,
  'a map task its item and index, nothing else');
select count(*) from quantumflow.complete_tasks('[
  {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "each", "task_index": 1, "lease_token": null},
  {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "each", "task_index": 0, "lease_token": null, "output": [0]},
  {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "middle", "task_index": 0, "lease_token": null, "output": false}]');
select results_eq(
  'select input from quantumflow.claim_tasks(gen_random_uuid(), 10)',
  $$values ('{"run": {"amount": "of the run", "list": [9]},
    "amount": {"amount": 5}, "nothing": null, "each": [[0], null], "middle": false}'::jsonb)$$,
  'each direct dependency has a key, whatever the run''s input has; a null output is null');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
