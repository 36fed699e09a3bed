begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '["x", "y", "z"]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 1, '"Y"');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'm', 2);

select results_eq(
  $$select * from quantumflow.retry_preview('10000000-0000-0000-0000-000000000001')$$,
  $$values ('m', 'failed', 2, 1)$$,
  'the preview says so');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  'select task_index, status, item_value, output from quantumflow.step_tasks order by 1',
  $$values (0, 'queued', '"x"'::jsonb, null::jsonb), (1, 'completed', '"y"', '"Y"'), (2, 'queued', '"z"', null)$$,
  'two run again');
select results_eq(
  'select status, remaining_tasks, initial_tasks from quantumflow.step_states',
  $$values ('started', 2, 3)$$,
  'the step counts them');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', n, to_jsonb(n)) from unnest('{0,2}'::int[]) n;
select is((select output from quantumflow.workflow_runs), '{"m": [0, "Y", 2]}', 'the outputs are in order');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken at the end');

select * from finish();
rollback;
