begin;
select plan(4);

-- No kind of today has none; what runs asks the row.
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "first"},
  {"name": "nothing"},
  {"name": "between", "dependencies": ["first", "nothing"]},
  {"name": "last", "dependencies": ["between"]}
]}');
update quantumflow.workflow_steps set known_tasks = 0 where step_slug in ('nothing', 'between');
select quantumflow.start_flow('w') as run \gset

select results_eq(
  $$select step_slug, status, initial_tasks, output from quantumflow.step_states order by step_slug$$,
  $$values
    ('between' collate "C", 'created', 0, null::jsonb),
    ('first', 'started', 1, null),
    ('last', 'created', 1, null),
    ('nothing', 'completed', 0, 'null')$$,
  'at the root it is done when the run starts, without a task, and its output is null');

select quantumflow.complete_task(:'run', 'first', 0, '1') from quantumflow.claim_tasks(gen_random_uuid());
select results_eq(
  $$select step_slug, status from quantumflow.step_states where step_slug in ('between', 'last') order by 1$$,
  $$values ('between' collate "C", 'completed'), ('last', 'started')$$,
  'after another it is done at once, and what waits for it starts');
select results_eq(
  'select input from quantumflow.claim_tasks(gen_random_uuid())',
  $$values ('{"run": {}, "between": null}'::jsonb)$$,
  'with its output');
select is_empty(
  $$select step_slug from quantumflow.step_tasks where step_slug in ('nothing', 'between')$$, 'it never has a task');

select * from finish();
rollback;
