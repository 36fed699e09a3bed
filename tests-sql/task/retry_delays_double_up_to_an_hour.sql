begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
create temporary view delays as
select
  n,
  min(extract(epoch from quantumflow._retry_delay(d.delay, n))) as shortest,
  max(extract(epoch from quantumflow._retry_delay(d.delay, n))) as longest,
  d.delay
from (values (interval '10 s'), (interval '0 s'), (interval '3 h')) d (delay)
cross join unnest(array[0, 1, 2, 3, 4, 8, 9, 10, 11, 30, 31, 32, 1000, 2147483647]) n
cross join generate_series(1, 200)
group by n, d.delay;

select is_empty(
  $$select * from delays
    where delay = '10 s' and n between 1 and 8
      and not (shortest >= 10 * 2 ^ (n - 1) and longest <= 12.5 * 2 ^ (n - 1))$$,
  'twice as long each time, at most a quarter more by chance');
select is_empty(
  $$select * from delays where delay = '10 s' and n between 1 and 8 and longest - shortest < 10 * 2 ^ (n - 1) * 0.15$$,
  'and the chance is spread over that quarter');
select results_eq(
  $$select n, shortest, longest from delays where delay = '10 s' and n >= 10 order by n$$,
  $$select n, 3600.0::numeric, 3600.0::numeric from unnest(array[10, 11, 30, 31, 32, 1000, 2147483647]) n order by n$$,
  'never more than an hour, however many failures');
select results_eq(
  $$select distinct shortest, longest from delays where delay = '3 h'$$,
  'values (10800.0::numeric, 10800.0::numeric)',
  'unless the step''s own delay is longer: then that');
select results_eq(
  $$select distinct shortest, longest from delays where delay = '0 s'$$, 'values (0.0::numeric, 0.0::numeric)', 'no delay stays none');

select * from finish();
rollback;
