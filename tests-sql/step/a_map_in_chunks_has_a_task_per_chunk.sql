begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map", "chunk_size": 2}]}');
select quantumflow.start_flow('w', '["a", "b", "c", null, "e"]', run_id => '10000000-0000-0000-0000-000000000001');

select results_eq(
  'select status, initial_tasks, remaining_tasks from quantumflow.step_states',
  $$values ('started', 3, 3)$$, 'three tasks for five items');
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 9);
select results_eq(
  'select task_index, input from claimed order by 1',
  $$values
    (0, '{"items": ["a", "b"], "index": 0}'::jsonb),
    (1, '{"items": ["c", null], "index": 2}'),
    (2, '{"items": ["e"], "index": 4}')$$,
  'each is given its items, and the index of the first');
select is(
  quantumflow.complete_task(run_id, step_slug, task_index, '[4]', lease_token), 'completed', 'an output for each item')
from claimed
where task_index = 2;
select results_eq(
  $$select outcome
  from quantumflow.complete_tasks((
    select jsonb_agg(to_jsonb(c) || jsonb_build_object('output', case task_index when 0 then '[0, 1]'::jsonb else '[2, null]' end))
    from claimed c
    where task_index < 2))$$,
  $$values ('completed'), ('completed')$$, 'in any order');
select results_eq(
  'select status, output from quantumflow.workflow_runs',
  $$values ('completed', '{"m": [0, 1, 2, null, 4]}'::jsonb)$$, 'the output of the step has one entry per item');
select is((select output from quantumflow.step_states), '[0, 1, 2, null, 4]', 'also on the step');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
