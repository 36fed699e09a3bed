begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
insert into quantumflow.step_hours
  (hour, workflow_slug, version, step_slug, command, n, retries, waited_seconds, worked_seconds, took_seconds, failures, waited, worked, took, usage)
select h.hour, 'w', 1, 'a', 'a', 1, 0, 0, 0, 0, '{}', '{}', '{}', '{}', '{}'
from unnest('{-infinity, 2029-11-01 00:00+00, 2029-12-02 00:00+00, 2029-12-31 00:00+00}'::timestamptz[]) h (hour);

select quantumflow.prune('1 day');
select results_eq(
  'select hour from quantumflow.step_hours order by 1',
  $$values ('-infinity'::timestamptz), ('2029-12-02 00:00+00'), ('2029-12-31 00:00+00')$$, 'what is 30 days old goes, the totals do not');
select quantumflow.prune('30 days');
select is((select count(*) from quantumflow.step_hours), 3::bigint, 'or four times as old as runs may be');
set local quantumflow.now = '2030-04-02 00:00:00+00';
select quantumflow.prune('30 days');
select is((select count(*) from quantumflow.step_hours), 2::bigint, 'and no later');

select * from finish();
rollback;
