begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "m", "type": "map", "chunk_size": 2, "tolerate": "100%", "max_attempts": 1}]}');
select quantumflow.start_flow('w', '[1, 2, 3, 4, 5]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 1, '[30, 40]');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'm', 0, 'no');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'm', 2, 'no more');

select is((select output from quantumflow.workflow_runs), '{"m": [null, null, 30, 40, null]}'::jsonb, 'nothing moves');
select results_eq(
  $$select * from quantumflow.failed_items('10000000-0000-0000-0000-000000000001', 'm')$$,
  $$values (0, 0, 'error', 'no'), (1, 0, 'error', 'no'), (4, 2, 'error', 'no more')$$,
  'each item has a row');
select results_eq('select status, gave_up from quantumflow.workflow_runs', $$values ('completed', 2)$$, 'what counts is tasks');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
