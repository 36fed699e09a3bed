begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map", "chunk_size": 2}]}');
select quantumflow.start_flow('w', '[1, 2, 3]', run_id => format('10000000-0000-0000-0000-00000000000%s', n)::uuid) from generate_series(1, 5) n;
select quantumflow.start_flow('w', '[]', run_id => '10000000-0000-0000-0000-000000000009');
select quantumflow.complete_task(format('10000000-0000-0000-0000-00000000000%s', n)::uuid, 'm', 0, '[1, 2]') from generate_series(1, 5) n;
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.step_tasks set item_value = '[1]', output = '[1]' where right(run_id::text, 1) = '2' and task_index = 0;
update quantumflow.step_tasks set item_value = '[3, 4, 5]' where right(run_id::text, 1) = '3' and task_index = 1;
update quantumflow.step_tasks set output = '[1]' where right(run_id::text, 1) = '4' and task_index = 0;
update quantumflow.workflow_runs set input = '[1, 2, 3, 4, 5]' where right(id::text, 1) = '5';

select results_eq(
  'select rule, right(run_id::text, 1), step_slug, task_index, problem, remedy from quantumflow.check_state()',
  $$values
    (7, '2', 'm', 0, 'the task is completed and has 1 items, in chunks of 2, and 1 outputs', null::text),
    (7, '3', 'm', 1, 'the task is queued and has 3 items, in chunks of 2, and 0 outputs', null),
    (7, '4', 'm', 0, 'the task is completed and has 2 items, in chunks of 2, and 1 outputs', null),
    (7, '5', 'm', null::int, 'the step has 2 tasks for 5 items in chunks of 2', null)$$,
  'and nothing else');
update quantumflow.step_tasks set item_value = '"no array"' where right(run_id::text, 1) = '1' and task_index = 1;
select is((select count(*) from quantumflow.check_state()), 5::bigint, 'nor what is no chunk at all');
select is(
  (select problem from quantumflow.check_state('10000000-0000-0000-0000-000000000001')),
  'the task is queued and has 0 items, in chunks of 2, and 0 outputs', 'of one run');

select * from finish();
rollback;
