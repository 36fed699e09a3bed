begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.schedule_flow('s' || g, 'w', '0 * * * *', jitter => '10 min') from generate_series(1, 100) g;

select is((select count(*) from quantumflow.schedules where due_at = '2030-01-01 01:00+00'), 100::bigint, 'all are due at once');
select is(
  (select count(*) from quantumflow.schedules where next_at >= '2030-01-01 01:00+00' and next_at < '2030-01-01 01:10+00'), 100::bigint,
  'each starts within the jitter');
select cmp_ok(
  (select count(distinct date_trunc('minute', next_at)) from quantumflow.schedules)::int, '=', 10, 'they are spread all over it');
create temporary table before on commit drop as table quantumflow.schedules;
select quantumflow.unschedule_flow(schedule_slug) from before;
select quantumflow.schedule_flow('s' || g, 'w', '0 * * * *', jitter => '10 min') from generate_series(1, 100) g;
select set_eq('select schedule_slug, next_at from quantumflow.schedules', 'select schedule_slug, next_at from before', 'always alike');

-- Before the next time, however large it is.
select quantumflow.schedule_flow('s' || g, 'w', '*/5 * * * *', jitter => '1 day', overlap => 'allow') from generate_series(1, 100) g;
select is(
  (select count(*) from quantumflow.schedules where next_at - due_at between '0 s' and '5 min'), 100::bigint, 'never beyond the next time');

-- Who is asked while the jitter of the next time is not over makes up for the one before, if it was not started.
set local quantumflow.now = '2030-01-01 00:10:00+00';
select is(
  (select tasks from quantumflow.sweep() where action = 'schedules'),
  (select count(*)::int from generate_series(1, 100) g where '2030-01-01 00:05+00' <= quantumflow._now()), 'one run each, of the time before');
select is(
  (select count(*) from quantumflow.workflow_runs where headers ->> 'scheduled_at' = '2030-01-01T00:05:00Z'), 100::bigint, 'and not of the one at hand');
select is((select max(missed) from quantumflow.schedules), 0::bigint, 'so none is missed');

select * from finish();
rollback;
