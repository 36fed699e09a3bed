begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "on_complete": "tell", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');

update quantumflow.workflow_steps set timeout = '1 h', max_attempts = 9, queue = 'other';
select is_empty('select * from quantumflow.check_state()', 'settings are an operator''s to change');

update quantumflow.workflow_steps set feeds_map = false where step_slug = 'a';
update quantumflow.workflow_steps set known_tasks = 2 where step_slug = 'm';
update quantumflow.workflow_steps set gathers = true where step_slug = 'z';
update quantumflow.workflow_steps set counts = true where step_slug = '_on_complete';

select results_eq(
  'select rule, step_slug, problem, remedy from quantumflow.check_state()',
  $$select 0, s, 'its row in version 1 of workflow "w" does not say what the definition does', 'compile it again'
  from unnest(array['_on_complete', 'a', 'm', 'z']) s$$,
  'what a step is comes from its definition');

select * from finish();
rollback;
