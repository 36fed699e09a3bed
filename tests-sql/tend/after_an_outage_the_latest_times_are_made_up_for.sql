begin;
select plan(15);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2029-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.schedule_flow('one', 'w', '0 * * * *');
select quantumflow.schedule_flow('three', 'w', '0 * * * *', catch_up => 3, overlap => 'allow');
select quantumflow.schedule_flow('all', 'w', '0 0 1 */3 *', catch_up => 100, overlap => 'allow');
select quantumflow.schedule_flow('minutes', 'w', '* * 5 1 *', catch_up => 2, overlap => 'allow');
select quantumflow.schedule_flow('yearly', 'w', '30 12 24 12 *', 'Pacific/Auckland');

create function pg_temp.runs(schedule text)
returns text
language sql
as $$
  select string_agg(substr(r.headers ->> 'scheduled_at', 1, 16), ', ' order by r.headers ->> 'scheduled_at')
  from quantumflow.workflow_runs r
  where r.headers ->> 'schedule' = schedule
$$;

-- A year and a few minutes later.
set local quantumflow.now = '2030-01-01 00:10:00+00';
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 11, 'one sweep makes up for it');
select is(pg_temp.runs('one'), '2030-01-01T00:00', 'the latest time, however late');
select is(
  pg_temp.runs('three'), '2029-12-31T22:00, 2029-12-31T23:00, 2030-01-01T00:00', 'or so many');
select is(
  pg_temp.runs('all'), '2029-04-01T00:00, 2029-07-01T00:00, 2029-10-01T00:00, 2030-01-01T00:00', 'or all of them, and not one of before');
select is(pg_temp.runs('minutes'), '2029-01-05T23:58, 2029-01-05T23:59', 'also where they lie long ago');
select is(pg_temp.runs('yearly'), '2029-12-23T23:30', 'in their time zone');
select results_eq(
  'select schedule_slug, missed, missed_at from quantumflow.schedules order by 1',
  $$values
    ('all' collate "C", 0::bigint, null::timestamptz), ('minutes', 1438, '2030-01-01 00:10+00'), ('one', 8759, '2030-01-01 00:10+00'),
    ('three', 8757, '2030-01-01 00:10+00'), ('yearly', 0, null)$$,
  'the rest is counted');
select is((select next_at from quantumflow.schedules where schedule_slug = 'one'), '2030-01-01 01:00:00+00', 'and all goes on');
select is(
  (select fact from quantumflow.doctor() where subject = 'schedule one'),
  'it has missed 8759 times, the last of them seen at 2030-01-01 00:10:00+00', 'doctor warns');
set local quantumflow.now = '2030-01-01 00:59:00+00';
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 0, 'nothing is made up for twice');

-- Another is due, and nobody has swept for a minute.
set local quantumflow.now = '2030-01-02 01:01:00+00';
select matches(
  (select fact from quantumflow.doctor() where subject = 'schedule three'), 'it was due at 2030-01-01 01:00:00.00, and nobody has started it',
  'doctor sees who is not swept');

-- Paused: what comes meanwhile is neither missed nor made up for.
select results_eq(
  $$select paused_at, due_at, next_at from quantumflow.pause_schedule('three', 'holiday')$$,
  $$values ('2030-01-02 01:01:00+00'::timestamptz, null::timestamptz, null::timestamptz)$$, 'a schedule can be paused');
select quantumflow.pause_schedule('three', 'again');
set local quantumflow.now = '2030-01-12 01:01:00+00';
select quantumflow.sweep();
select is((select next_at from quantumflow.resume_schedule('three')), '2030-01-12 02:00:00+00', 'it goes on with its next time');
select quantumflow.resume_schedule('three');
select quantumflow.sweep();
select is((select missed from quantumflow.schedules where schedule_slug = 'three'), 8757::bigint, 'and has missed nothing since');
select results_eq(
  $$select what, reason from quantumflow.audit_log where detail ->> 'schedule' = 'three' order by entry_id$$,
  $$values ('schedule_flow', null), ('pause_schedule', 'holiday'), ('resume_schedule', null)$$, 'who did it is written down, once each');

select * from finish();
rollback;
