begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "on_complete": "tell", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table stored on commit drop as
select * from quantumflow.workflow_steps;

update quantumflow.workflow_steps set gathers = false, known_tasks = 1 where step_slug = 'm';
update quantumflow.workflow_steps set counts = true where step_slug = '_on_complete';

select results_eq(
  $$select step_slug, action from quantumflow.repair(dry_run => false) where rule = 0 and run_id is null$$,
  $$values ('_on_complete', 'done: compile it again'), ('m', 'done: compile it again')$$,
  'it says what it did');
select results_eq(
  'select * from quantumflow.workflow_steps order by step_index', 'select * from stored order by step_index',
  'the steps are what they were');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select is_empty('select * from quantumflow.repair(dry_run => false)', 'nothing is left to do');

select * from finish();
rollback;
