begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "list"}, {"name": "each", "type": "map", "dependencies": ["list"]},
  {"name": "none", "dependencies": ["each"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create temporary view outputs as
select
  quantumflow.step_output('10000000-0000-0000-0000-000000000001', 'list') as list,
  quantumflow.step_output('10000000-0000-0000-0000-000000000001', 'each') as each,
  quantumflow.step_output('10000000-0000-0000-0000-000000000001', 'none') as none;

select results_eq('table outputs', 'values (null::jsonb, null::jsonb, null::jsonb)', 'nothing is completed');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '[5, 6]');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 1, '"six"');
select results_eq(
  'table outputs', $$values ('[5, 6]'::jsonb, null::jsonb, null::jsonb)$$, 'half a map is none');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 0, '"five"');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'none');
select results_eq(
  'table outputs', $$values ('[5, 6]'::jsonb, '["five", "six"]'::jsonb, 'null'::jsonb)$$,
  'a map''s in index order; a null output is JSON null');

select throws_ok(
  $$select quantumflow.step_output('10000000-0000-0000-0000-000000000001', 'List')$$, 'QF307', null, 'no such step');
select throws_ok(
  $$select quantumflow.step_output('10000000-0000-0000-0000-000000000009', 'list')$$, 'QF201', null, 'no such run');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
