begin;
select plan(15);

create function pg_temp.asked(p_condition text, p_input jsonb, p_status jsonb default '{}') returns text language sql as $$
  select coalesce(h::text, quantumflow._why_unknown(p_condition, p_input, jsonb_build_object('status', p_status)))
  from quantumflow._holds(p_condition, p_input, jsonb_build_object('status', p_status)) h
$$;

select is(pg_temp.asked('strict $.run.n > 5', '{"run": {"n": 6}}'), 'true', 'true');
select is(pg_temp.asked('strict $.run.n > 5', '{"run": {"n": 5}}'), 'false', 'false');
select is(pg_temp.asked('strict $.run.vip', '{"run": {"vip": false}}'), 'false', 'a value that is true or false is enough');
select is(
  pg_temp.asked('strict $status.a == "skipped" && !($status.b == "completed")', '{}', '{"a": "skipped", "b": "failed"}'),
  'true', 'what became of dependencies');
select is(
  pg_temp.asked('strict exists($.run ? (@.coupon == "x"))', '{"run": {}}'), 'false', 'what may be absent is asked for in a filter');

-- Unknown.
select is(
  pg_temp.asked('strict $.run.m > 5', '{"run": {"n": 6}}'),
  '$.run.m is not there: JSON object does not contain key "m"', 'a key that is not there');
select is(
  pg_temp.asked('strict !($.run.m > 5)', '{"run": {"n": 6}}'),
  '$.run.m is not there: JSON object does not contain key "m"', 'nor is the opposite true');
select is(pg_temp.asked('lax $.run.m > 5', '{"run": {"n": 6}}'), 'false', 'in lax mode it is false');
select is(pg_temp.asked('strict $.run.n > 5', '{"run": {"n": "6"}}'), '$.run.n is "6"', 'another type');
select is(pg_temp.asked('strict $.run.n', '{"run": {"n": 1}}'), '$.run.n is 1', 'neither true nor false');
select is(pg_temp.asked('strict 1 == "1"', '{}'), 'it compares values of different types', 'it may ask for nothing');
select isnt(
  pg_temp.asked(
    'strict $.run.a.datetime() < $.run.b.datetime()', '{"run": {"a": "2026-01-01", "b": "2026-01-01 00:00:00+00"}}'),
  null, 'an error is unknown, and raises nothing');
select is(
  pg_temp.asked('strict 1 == 1', jsonb_build_object('run', repeat('x', 1048576))),
  'its input has 1048595 bytes, and conditions look at 1048576 at most', 'more than max_condition_bytes');
select quantumflow.configure('max_condition_bytes', '2000000');
select is(pg_temp.asked('strict 1 == 1', jsonb_build_object('run', repeat('x', 1048576))), 'true', 'which is a setting');

-- What is toasted is measured as it is.
create temporary table packed as select jsonb_build_object('run', repeat('x', 3000000)) as input;
select is(
  (select quantumflow._holds('strict 1 == 1', input, '{}') from packed), null, 'however small it was made in a table');

select * from finish();
rollback;
