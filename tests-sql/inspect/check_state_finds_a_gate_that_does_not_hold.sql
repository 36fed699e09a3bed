begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [
  {"name": "a"}, {"name": "b", "if": "$.run.x > 1"}, {"name": "c", "dependencies": ["a", "b"]},
  {"name": "f", "fallback": 1}, {"name": "g", "on_error": "continue"}, {"name": "m", "type": "map", "tolerate": 1, "map_over": "a", "dependencies": ["a"]},
  {"name": "last"}]}');
select quantumflow.start_flow('w', '{"x": 1}', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', s, i) from (values ('f', 0), ('g', 0), ('m', 1)) t (s, i);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0);
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.workflow_steps set condition = null where step_slug = 'b';
update quantumflow.step_states set status = 'skipped', skipped_at = now(), skip_reason = 'condition' where step_slug = 'b';
update quantumflow.step_states set output = '2' where step_slug = 'f';
update quantumflow.workflow_runs set gave_up = 7;

create temporary table found as select rule, step_slug, problem, remedy from quantumflow.check_state() where rule <> 0;
select results_eq(
  $$select rule, step_slug, problem, remedy from found order by 1, 2$$,
  $$values
    (5, 'f', 'the step has fallen back, and its output is not its fallback', null),
    (10, 'b', 'the step is skipped for its condition, and has none', null),
    (15, null, 'gave_up is 7 and 3 steps and tasks were given up', 'recount')$$,
  'each is named');

select results_eq(
  'select rule, action from quantumflow.repair(dry_run => false) where rule = 15', $$values (15, 'done: recount')$$, 'what can be counted is mended');

update quantumflow.step_states set skip_reason = null, skipped_at = null where step_slug = 'b';
update quantumflow.step_states set skip_reason = 'dependency' where step_slug = 'c';
update quantumflow.step_states set status = 'completed', completed_at = now(), skipped_at = null, skip_reason = null,
  remaining_tasks = 0 where step_slug = 'b';
select results_eq(
  $$select rule, step_slug, problem from quantumflow.check_state() where rule > 9 order by 1, 2$$,
  $$values
    (10, 'c', 'the step is skipped for its dependencies, of which enough have completed'),
    (11, 'b', 'the step is completed without a completed task, and is no empty map and has not fallen back')$$,
  'and so is a reason that no longer holds');

select * from finish();
rollback;
