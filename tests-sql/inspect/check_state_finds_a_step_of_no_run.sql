begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.step_states set run_id = '90000000-0000-0000-0000-000000000009'
where run_id = '10000000-0000-0000-0000-000000000002' and step_slug = 'z';
update quantumflow.workflow_runs set remaining_steps = 2 where right(id::text, 1) = '2';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (0, 'z', null::int, 'the run has no row for this step of its version'),
    (0, 'z', null, 'the step belongs to no run, or not to its version')$$,
  'and nothing else');

select * from finish();
rollback;
