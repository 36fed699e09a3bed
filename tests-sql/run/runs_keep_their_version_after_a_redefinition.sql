begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "command": "old_b", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "command": "new_b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000002', 'a');

select results_eq(
  $$select right(run_id::text, 1), step_slug, command from quantumflow.claim_tasks(gen_random_uuid(), 10) order by 1, 2$$,
  $$values ('1', 'b', 'old_b'), ('2', 'b', 'new_b'), ('2', 'c', 'c')$$,
  'what comes next is as it was when the run started');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'b', output => '1');
select results_eq(
  'select status, output from quantumflow.workflow_runs order by id',
  $$values ('completed', '{"b": 1}'::jsonb), ('started', null)$$,
  'the old run ends without the new step');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
