begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000002', 'a', error_message => 'x');

select throws_ok(
  $$select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001')$$,
  'QF207', 'run 10000000-0000-0000-0000-000000000001 has ended', 'completed');
select throws_ok(
  $$select quantumflow.cancel_run('10000000-0000-0000-0000-000000000002')$$, 'QF207', null, 'failed');
select throws_ok(
  $$select quantumflow.cancel_run('10000000-0000-0000-0000-000000000003')$$,
  'QF201', 'run 10000000-0000-0000-0000-000000000003 does not exist', 'unknown');
select throws_ok($$select quantumflow.cancel_run(null)$$, 'QF201', 'run null does not exist', 'null');
select results_eq(
  'select status from quantumflow.workflow_runs order by id',
  $$values ('completed'), ('failed')$$,
  'and nothing has changed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
