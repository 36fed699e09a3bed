begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "on_complete": "tell", "on_failure": "alert", "steps": [
  {"name": "a"},
  {"name": "m", "type": "map", "dependencies": ["a"]},
  {"name": "n", "type": "map", "chunk_size": 10, "dependencies": ["m"]},
  {"name": "z", "dependencies": ["n"]}]}');

select results_eq(
  $$select step_slug collate "default", counts, known_tasks, gathers, feeds_map
  from quantumflow.workflow_steps
  order by step_index$$,
  $$values
    ('a', true, 1, false, true),
    ('m', true, null, true, false),
    ('n', true, null, true, false),
    ('z', true, 1, false, false),
    ('_on_complete', false, 1, false, false),
    ('_on_failure', false, 1, false, false)$$,
  'whether a run waits for it, how many tasks it has, whether it gathers their outputs');
select is_empty(
  $$select step_type from quantumflow._kinds() group by step_type having count(*) > 1$$,
  'each type has one row');
select throws_ok(
  $$update quantumflow.workflow_steps set counts = null where step_slug = 'a'$$, '23502', null,
  'none of it is left open');

select * from finish();
rollback;
