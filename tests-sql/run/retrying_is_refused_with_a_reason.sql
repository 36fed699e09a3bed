begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select throws_ok(
  format('select quantumflow.%s(%L)', verb, '10000000-0000-0000-0000-000000000001'),
  'QF213', 'run 10000000-0000-0000-0000-000000000001 has not ended', verb || ' while it goes on')
from unnest('{retry_run,retry_preview}'::text[]) v (verb);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select throws_ok(
  $$select quantumflow.retry_run('10000000-0000-0000-0000-000000000001')$$,
  'QF214', 'run 10000000-0000-0000-0000-000000000001 has nothing to run again', 'a completed run');
select throws_ok(
  $$select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', 'b')$$,
  'QF215', 'run 10000000-0000-0000-0000-000000000001 has no step "b"', 'an unknown step');
select throws_ok(
  $$select quantumflow.retry_preview('10000000-0000-0000-0000-000000000001', '_on_complete')$$,
  'QF215', null, 'a callback is no step');
select is((select retries from quantumflow.workflow_runs), 0, 'nothing changed');

select * from finish();
rollback;
