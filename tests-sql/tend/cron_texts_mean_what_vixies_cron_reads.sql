begin;
select plan(27);

create function pg_temp.times(cron text, n int, after timestamptz default '2030-01-01 00:00:00+00')
returns text
language sql
as $$
  select string_agg(to_char(t at time zone 'UTC', 'MM-DD HH24:MI'), ', ' order by t)
  from quantumflow.next_times(cron, 'UTC', n, after) t
$$;

-- 2030-01-01 is a Tuesday.
select is(pg_temp.times('* * * * *', 2), '01-01 00:01, 01-01 00:02', 'each minute, after the one at hand');
select is(
  pg_temp.times('* * * * *', 1, '2030-01-01 00:00:59.9+00'), '01-01 00:01', 'seconds do not count');
select is(pg_temp.times('5 4 * * *', 2), '01-01 04:05, 01-02 04:05', 'each day');
select is(pg_temp.times('*/20 1 * * *', 4), '01-01 01:00, 01-01 01:20, 01-01 01:40, 01-02 01:00', 'steps');
select is(pg_temp.times('10-30/10 1 * * *', 4), '01-01 01:10, 01-01 01:20, 01-01 01:30, 01-02 01:10', 'steps in a range');
select is(pg_temp.times('50/4 1 * * *', 4), '01-01 01:50, 01-01 01:54, 01-01 01:58, 01-02 01:50', 'steps from one value on');
select is(pg_temp.times('7,3,3-5 1 * * *', 5), '01-01 01:03, 01-01 01:04, 01-01 01:05, 01-01 01:07, 01-02 01:03', 'lists, in any order');
select is(pg_temp.times('0 0 * feb *', 1), '02-01 00:00', 'a month by name');
select is(pg_temp.times('0 0 * Mar-APR *', 1, '2030-03-31 12:00:00+00'), '04-01 00:00', 'names in ranges, in any case');
select is(pg_temp.times('0 0 * * sun', 1), '01-06 00:00', 'a weekday by name');
select is(pg_temp.times('0 0 * * 0', 1), pg_temp.times('0 0 * * 7', 1), 'Sunday is 0 and 7');
select is(pg_temp.times('0 0 * * 5-7', 3), '01-04 00:00, 01-05 00:00, 01-06 00:00', 'a range that ends with 7');
select is(pg_temp.times('0 0 * * fri-sun', 3), pg_temp.times('0 0 * * 5-7', 3), 'or with the name');
select is(pg_temp.times('0 0 13 * fri', 3), '01-04 00:00, 01-11 00:00, 01-13 00:00', 'a day of the month, or a weekday');
select is(pg_temp.times('0 0 */2 * fri', 2), '01-11 00:00, 01-25 00:00', 'both, where one begins with an asterisk');
select is(pg_temp.times('0 0 13 * *', 1), '01-13 00:00', 'a day of the month alone');
select is(pg_temp.times('0 0 31 * *', 3), '01-31 00:00, 03-31 00:00, 05-31 00:00', 'months without the day are passed over');
select is(
  (select string_agg(t::date::text, ' ') from quantumflow.next_times('0 0 29 2 *', 'UTC', 2, '2096-03-01') t),
  '2104-02-29 2108-02-29', 'the leap day, across a year that has none');
select is(
  (select string_agg(t::date::text, ' ') from quantumflow.next_times('0 0 29 2 */7', 'UTC', 2, '2030-01-01') t),
  '2032-02-29 2060-02-29', 'the leap days that are Sundays');
select is(pg_temp.times(E' 0\t0  1 1 * \n', 1, '2030-06-01'), '01-01 00:00', 'any white space');
select is(pg_temp.times('@hourly', 1), '01-01 01:00', '@hourly');
select is(pg_temp.times('@daily', 1), '01-02 00:00', '@daily');
select is(pg_temp.times('@Midnight', 1), '01-02 00:00', '@midnight');
select is(pg_temp.times('@weekly', 1), '01-06 00:00', '@weekly');
select is(pg_temp.times('@monthly', 1), '02-01 00:00', '@monthly');
select is(
  (select string_agg(t::date::text, ' ') from unnest('{@yearly,@annually}'::text[]) c (cron)
    cross join quantumflow.next_times(c.cron, 'UTC', 1, '2030-01-01') t),
  '2031-01-01 2031-01-01', '@yearly and @annually');
select is((select count(*) from quantumflow.next_times('@yearly', 'UTC', 5, '9997-06-01')), 2::bigint, 'until the year 10000');

select * from finish();
rollback;
