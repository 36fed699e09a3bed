begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "if": "$.run.x > 1"}, {"name": "b"}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "a", "if": "$.run.x > 1", "otherwise": "fail"}]}');

select is(quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001'), '10000000-0000-0000-0000-000000000001', 'start_flow returns the id');
select results_eq(
  $$select status, output from quantumflow.workflow_runs union all select status, null from quantumflow.step_states order by 1$$,
  $$values ('cancelled', null::jsonb), ('failed', null), ('failed', null)$$,
  'of a failed run');
select is_empty('select from quantumflow.step_tasks', 'that has no task');
select lives_ok(
  $$select quantumflow.start_flows('w', array['{"x": 2}', '{"x": "2"}', '{"x": 1}']::jsonb[])$$, 'of several runs each has its own answer');
select quantumflow.start_flow('v', '{"x": 1}', run_id => '10000000-0000-0000-0000-000000000002');
select results_eq(
  $$select error_message from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000002'$$,
  $$values ('step a: its condition is false: strict $.run.x > 1')$$,
  'otherwise fail makes false a failure');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
