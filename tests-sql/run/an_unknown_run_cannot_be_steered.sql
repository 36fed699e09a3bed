begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select throws_ok(
  format('select quantumflow.%s(%L)', verb, '10000000-0000-0000-0000-000000000001'),
  'QF201', 'run 10000000-0000-0000-0000-000000000001 does not exist', verb)
from unnest('{cancel_run,pause_run,resume_run,retry_run,retry_preview,delete_run}'::text[]) v (verb);
select throws_ok('select quantumflow.retry_run(null)', 'QF201', 'run null does not exist', 'null is no run');

select * from finish();
rollback;
