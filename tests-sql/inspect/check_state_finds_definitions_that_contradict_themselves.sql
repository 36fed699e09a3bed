begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.workflow_steps set dependencies = '{}' where step_slug = 'z';
insert into quantumflow.workflow_versions (workflow_slug, version, content_hash, definition) values ('v', 1, '', '{}');
insert into quantumflow.workflow_steps
  (workflow_slug, version, step_slug, step_index, step_type, command, map_over, dependencies, dependents, feeds_map,
  max_attempts, max_lost, retry_delay, timeout, start_delay, queue, args, chunk_size, counts, known_tasks, gathers, plain, leaf, concludes)
select 'u', version, step_slug, step_index, step_type, command, map_over, dependencies, dependents, feeds_map,
  max_attempts, max_lost, retry_delay, timeout, start_delay, queue, args, chunk_size, counts, known_tasks, gathers, plain, leaf, concludes
from quantumflow.workflow_steps
where step_slug = 'a';

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (0, 'a', null::int, 'the step belongs to no version, not to 1 of workflow "u"'),
    (0, 'z', null, 'what it waits for in version 1 of workflow "w" is one thing in workflow_steps and another in workflow_step_edges'),
    (0, null, null, 'version 1 of workflow "v" belongs to no workflow')$$,
  'and nothing else');

select * from finish();
rollback;
