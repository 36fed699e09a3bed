begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "tell", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select throws_ok(
  $$select quantumflow.delete_run('10000000-0000-0000-0000-000000000001')$$,
  'QF213', 'run 10000000-0000-0000-0000-000000000001 has not ended', 'while it is started');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select throws_ok(
  $$select quantumflow.delete_run('10000000-0000-0000-0000-000000000001')$$,
  'QF213', 'run 10000000-0000-0000-0000-000000000001 has a task that has not ended', 'while its callback is to be done');
select is(quantumflow.prune(interval '0 s'), 0::bigint, 'prune leaves it too');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', '_on_complete');
select lives_ok($$select quantumflow.delete_run('10000000-0000-0000-0000-000000000001')$$, 'then it can go');

select * from finish();
rollback;
