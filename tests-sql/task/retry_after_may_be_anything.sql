begin;
select plan(1);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "steps": [{"name": "a", "max_attempts": 1000}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create temporary table given (n int, retry_after jsonb);
insert into given
values (1, '5'), (2, '0.25'), (3, '"7"'), (4, '"Infinity"'), (5, '1e300'), (6, '-3'), (7, '"soon"'), (8, 'null'), (9, '{}'), (10, 'true'),
  (11, '"-Infinity"'), (12, '"NaN"'), (13, '""');

create function pg_temp.delay(retry_after jsonb) returns interval language plpgsql as $delay$
begin
  perform set_config('quantumflow.now', (select t.queued_at::text from quantumflow.step_tasks t), true);
  perform quantumflow.fail_tasks((
    select jsonb_agg(to_jsonb(c) || jsonb_build_object('retry_after', delay.retry_after)) from quantumflow.claim_tasks(gen_random_uuid()) c));
  return (select queued_at - quantumflow._now() from quantumflow.step_tasks);
end
$delay$;

select results_eq(
  'select retry_after, pg_temp.delay(retry_after) from given order by n',
  $$values
    ('5'::jsonb, interval '5 s'), ('0.25', '0.25 s'), ('"7"', '7 s'), ('"Infinity"', '8760 h'), ('1e300', '8760 h'), ('-3', '0'),
    ('"soon"', '0'), ('null', '0'), ('{}', '0'), ('true', '0'), ('"-Infinity"', '0'), ('"NaN"', '0'), ('""', '0')$$,
  'seconds from now to a year; what is none of that leaves it to the step''s retry_delay, here 0');

select * from finish();
rollback;
