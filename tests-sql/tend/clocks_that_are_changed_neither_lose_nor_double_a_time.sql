begin;
select plan(20);

create function pg_temp.times(cron text, zone text, n int, after timestamptz)
returns text
language sql
as $$
  select string_agg(to_char(t at time zone zone, 'DD HH24:MI') || to_char(t at time zone 'UTC', ' = HH24:MI'), ', ' order by t)
  from quantumflow.next_times(cron, zone, n, after) t
$$;

-- Berlin: on 2026-03-29 from 02:00 to 03:00 (01:00 UTC), on 2026-10-25 from 03:00 to 02:00 (01:00 UTC).
select is(
  pg_temp.times('30 2 * * *', 'Europe/Berlin', 3, '2026-03-28 00:00+00'), '28 02:30 = 01:30, 29 03:00 = 01:00, 30 02:30 = 00:30',
  'Berlin, spring: at the change');
select is(
  pg_temp.times('0,30 2,3 * * *', 'Europe/Berlin', 3, '2026-03-29 00:00+00'), '29 03:00 = 01:00, 29 03:30 = 01:30, 30 02:00 = 00:00',
  'once, with what is due then anyway');
select is(
  pg_temp.times('30 * * * *', 'Europe/Berlin', 3, '2026-03-29 00:00+00'), '29 01:30 = 00:30, 29 03:30 = 01:30, 29 04:30 = 02:30',
  'each hour: an hour apart');
select is(
  pg_temp.times('30 2 * * *', 'Europe/Berlin', 3, '2026-10-24 12:00+00'), '25 02:30 = 00:30, 26 02:30 = 01:30, 27 02:30 = 01:30',
  'autumn: once, the first time');
select is(
  pg_temp.times('30 2 * * *', 'Europe/Berlin', 1, '2026-10-25 01:10+00'), '26 02:30 = 01:30', 'and not again for who asks in between');
select is(
  pg_temp.times('*/30 * * * *', 'Europe/Berlin', 5, '2026-10-24 23:45+00'),
  '25 02:00 = 00:00, 25 02:30 = 00:30, 25 02:00 = 01:00, 25 02:30 = 01:30, 25 03:00 = 02:00', 'every half hour: all through');
select is(
  pg_temp.times('*/15 2 * * *', 'Europe/Berlin', 5, '2026-10-24 23:45+00'),
  '25 02:00 = 00:00, 25 02:15 = 00:15, 25 02:30 = 00:30, 25 02:45 = 00:45, 26 02:00 = 01:00', 'several times of one hour: each once');

-- New York: on 2026-03-08 from 02:00 to 03:00 (07:00 UTC), on 2026-11-01 from 02:00 to 01:00 (06:00 UTC).
select is(
  pg_temp.times('15 2 * * *', 'America/New_York', 2, '2026-03-08 06:00+00'), '08 03:00 = 07:00, 09 02:15 = 06:15', 'New York, spring');
select is(
  pg_temp.times('0 1 * * *', 'America/New_York', 2, '2026-10-31 12:00+00'), '01 01:00 = 05:00, 02 01:00 = 06:00', 'autumn');
select is(
  pg_temp.times('0 */2 * * *', 'America/New_York', 3, '2026-03-08 05:30+00'), '08 04:00 = 08:00, 08 06:00 = 10:00, 08 08:00 = 12:00',
  'every other hour: what the clock does not show is none');
select is(
  pg_temp.times('59 1 * * *', 'America/New_York', 2, '2026-11-01 05:59+00'), '02 01:59 = 06:59, 03 01:59 = 06:59', 'a minute before');

-- Lord Howe: by half an hour, on 2026-10-04 from 02:00 to 02:30 (15:30 UTC), on 2026-04-05 from 02:00 to 01:30 (15:00 UTC).
select is(
  pg_temp.times('10 2 * * *', 'Australia/Lord_Howe', 2, '2026-10-03 12:00+00'), '04 02:30 = 15:30, 05 02:10 = 15:10',
  'Lord Howe, spring');
select is(
  pg_temp.times('40 1 * * *', 'Australia/Lord_Howe', 2, '2026-04-04 12:00+00'), '05 01:40 = 14:40, 06 01:40 = 15:10', 'autumn');
select is(
  pg_temp.times('45 * * * *', 'Australia/Lord_Howe', 4, '2026-04-04 14:00+00'),
  '05 01:45 = 14:45, 05 01:45 = 15:15, 05 02:45 = 16:15, 05 03:45 = 17:15', 'each hour, of which one has ninety minutes');

-- Santiago: at midnight, on 2026-09-06 from 00:00 to 01:00 (04:00 UTC), on 2026-04-05 from 00:00 to 23:00 of the 4th (03:00 UTC).
select is(
  pg_temp.times('@daily', 'America/Santiago', 3, '2026-09-05 12:00+00'), '06 01:00 = 04:00, 07 00:00 = 03:00, 08 00:00 = 03:00',
  'Santiago, spring: a day without midnight');
select is(
  pg_temp.times('30 23 4 * *', 'America/Santiago', 2, '2026-04-04 12:00+00'), '04 23:30 = 02:30, 04 23:30 = 03:30',
  'autumn: once, and then in a month');
select is(
  pg_temp.times('30 * 4 4 *', 'America/Santiago', 3, '2026-04-05 02:00+00'), '04 23:30 = 02:30, 04 23:30 = 03:30, 04 00:30 = 04:30',
  'a day with two last hours, where the hours are not fixed; then in a year');
select is(
  pg_temp.times('0 0 * * sun', 'America/Santiago', 2, '2026-09-05 12:00+00'), '06 01:00 = 04:00, 13 00:00 = 03:00', 'the day counts, too');

-- Chatham: on 2026-09-27 from 02:45 to 03:45 (14:00 UTC), on 2026-04-05 from 03:45 to 02:45 (14:00 UTC).
select is(
  pg_temp.times('0 3 * * *', 'Pacific/Chatham', 2, '2026-09-26 12:00+00'), '27 03:45 = 14:00, 28 03:00 = 13:15', 'Chatham, spring');
select is(
  pg_temp.times('0 3 * * *', 'Pacific/Chatham', 2, '2026-04-04 12:00+00'), '05 03:00 = 13:15, 06 03:00 = 14:15', 'autumn');

select * from finish();
rollback;
