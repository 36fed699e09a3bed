begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"], "if": "$.a > 1"}, {"name": "c", "dependencies": ["b"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '1');

select results_eq(
  $$select step_slug, status, remaining_deps from quantumflow.step_states where step_slug <> 'a' order by 1$$,
  $$values ('b' collate "C", 'created', 0), ('c', 'created', 1)$$,
  'it is not asked meanwhile');
select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  $$select step_slug, status, skip_reason from quantumflow.step_states where step_slug <> 'a' order by 1$$,
  $$values ('b' collate "C", 'skipped', 'condition'), ('c', 'skipped', 'dependency')$$,
  'but then');
select is((select status from quantumflow.workflow_runs), 'completed', 'which ends the run');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
