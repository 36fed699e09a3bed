begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a"]},
  {"name": "m", "type": "map", "map_over": "b", "dependencies": ["b", "c"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', s, output => '[1, 2]')
from unnest('{a,b,c}'::text[]) s;
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', n) from unnest('{0,1}'::int[]) n;

select is((select status from quantumflow.workflow_runs), 'completed', 'the run was completed');
select results_eq(
  $$select * from quantumflow.retry_preview('10000000-0000-0000-0000-000000000001', 'b')$$,
  $$values ('b', 'completed', 1, 0), ('m', 'completed', null, 0)$$,
  'the preview: the size of the map is not known before');
select results_eq(
  $$select * from quantumflow.retry_preview('10000000-0000-0000-0000-000000000001', 'c')$$,
  $$values ('c', 'completed', 1, 0), ('m', 'completed', 2, 0)$$,
  'the preview: the size of the map is that of an output that stays');
select results_eq(
  $$select status, remaining_steps, output, completed_at
  from quantumflow.retry_run('10000000-0000-0000-0000-000000000001', from_step => 'b')$$,
  $$values ('started', 2, null::jsonb, null::timestamptz)$$,
  'the run goes on');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'b', output => '[7]');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0, '7');
select results_eq(
  'select status, output from quantumflow.workflow_runs',
  $$values ('completed', '{"m": [7]}'::jsonb)$$,
  'it ends with the new outputs');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken at the end');

select * from finish();
rollback;
