begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

delete from quantumflow.workflow_versions;

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state() where run_id is not null',
  $$values
    (0, null::text, null::int, 'its workflow "w" has no version 1'),
    (0, null, null, 'its workflow "w" has no version 1')$$,
  'and nothing else');

select * from finish();
rollback;
