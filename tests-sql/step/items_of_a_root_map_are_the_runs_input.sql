begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "maps", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('maps', '[{"a": 1}, null, [], "x"]', run_id => '10000000-0000-0000-0000-000000000001');

select results_eq(
  'select task_index, item_value from quantumflow.step_tasks order by 1',
  $$values (0, '{"a": 1}'::jsonb), (1, 'null'), (2, '[]'), (3, '"x"')$$,
  'a task per element, with it');
select results_eq(
  'select input from quantumflow.claim_tasks(gen_random_uuid(), 10) order by task_index',
  $$values
    ('{"item": {"a": 1}, "index": 0}'::jsonb), ('{"item": null, "index": 1}'), ('{"item": [], "index": 2}'),
    ('{"item": "x", "index": 3}')$$,
  'item i reaches task i');
select results_eq(
  $$select message -> 'task_index', message -> 'is_map_task' from pgmq.q_quantum_flow_queue order by 1$$,
  $$values ('0'::jsonb, 'true'::jsonb), ('1', 'true'), ('2', 'true'), ('3', 'true')$$,
  'the messages name them');
select results_eq(
  'select initial_tasks, remaining_tasks from quantumflow.step_states', 'values (4, 4)', 'the step counts them');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
