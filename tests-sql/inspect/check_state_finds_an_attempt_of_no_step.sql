begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

insert into quantumflow.task_failures (run_id, step_slug, task_index, retries, attempt, kind, ended_at, reported)
values ('10000000-0000-0000-0000-000000000001', 'x', 0, 0, 1, 'error', now(), true);
insert into quantumflow.undone_tasks (run_id, step_slug, task_index, undone_by, attempt, due_at, started_at, completed_at)
values ('10000000-0000-0000-0000-000000000001', 'y', 0, 1, 1, now(), now(), now());

select results_eq(
  'select rule, step_slug, task_index, problem from quantumflow.check_state()',
  $$values
    (0, 'x', 0, 'the failure of attempt 1 belongs to no step'),
    (0, 'y', 0, 'the completion that retry 1 undid belongs to no step')$$,
  'and nothing else');

select * from finish();
rollback;
