begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');

select throws_ok(
  $$select quantumflow.pause_run('10000000-0000-0000-0000-000000000001')$$,
  'QF207', 'run 10000000-0000-0000-0000-000000000001 has ended', 'not paused');
select throws_ok(
  $$select quantumflow.resume_run('10000000-0000-0000-0000-000000000001')$$,
  'QF207', 'run 10000000-0000-0000-0000-000000000001 has ended', 'not resumed');
select is((select status from quantumflow.workflow_runs), 'completed', 'it is as it was');

select * from finish();
rollback;
