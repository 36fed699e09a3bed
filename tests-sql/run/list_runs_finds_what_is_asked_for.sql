begin;
select plan(14);

insert into quantumflow.settings values ('test_clock', 'on');
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "a"}]}');
create temporary table runs (n int, id uuid) on commit drop;
set local quantumflow.now = '2030-03-01 10:00:00+00';
insert into runs values (1, quantumflow.start_flow('w', '{"customer": "c42", "n": 1}', idempotency_key => 'k'));
insert into runs values (2, quantumflow.start_flow('v', '[1, 2]', headers => '{"tenant": "t1"}'));
set local quantumflow.now = '2030-03-02 10:00:00+00';
insert into runs values (3, quantumflow.start_flow('w', '{"customer": "c7"}'));
select quantumflow.fail_task(id, 'a', error_message => 'HTTP 503 from there', retryable => false) from runs where n in (1, 3);
set local quantumflow.now = '2030-03-20 10:00:00+00';
insert into runs values (4, quantumflow.start_flow('w', run_id => '10000000-0000-4000-8000-000000000001'));
create function pg_temp.ns(ids uuid[]) returns int[] language sql as $$
  select array_agg(r.n order by r.n) from runs r where r.id = any (ids) $$;

select is(pg_temp.ns(array(select run_id from quantumflow.list_runs(since => '2030-03-02 10:00:00+00'))), '{3,4}', 'since');
select is(pg_temp.ns(array(select run_id from quantumflow.list_runs(until => '2030-03-02 10:00:00+00'))), '{1,2}', 'until');
select is(pg_temp.ns(array(select run_id from quantumflow.list_runs(ended_since => '2030-03-02 00:00+00', ended_until => '2030-03-03 00:00+00'))), '{1,3}', 'ended');
select is(pg_temp.ns(array(select run_id from quantumflow.list_runs(input => '{"customer": "c42"}', since => '2030-01-01'))), '{1}', 'by what its input contains');
select is(pg_temp.ns(array(select run_id from quantumflow.list_runs(input => '{"customer": "c42"}'))), null, 'in 7 days');
select is(pg_temp.ns(array(select run_id from quantumflow.list_runs(headers => '{"tenant": "t1"}', since => '2030-01-01'))), '{2}', 'headers');
select is(pg_temp.ns(array(select run_id from quantumflow.list_runs(error => 'http 503', since => '2030-01-01'))), '{1,3}', 'an error');
select is(pg_temp.ns(array(select run_id from quantumflow.list_runs(idempotency_key => 'k'))), '{1}', 'a key');
select is(pg_temp.ns(array(select run_id from quantumflow.list_runs(version => 2))), null, 'a version');
select is(pg_temp.ns(array(select run_id from quantumflow.list_runs('w', 'started'))), '{4}', 'what goes on');
select throws_ok(
  $$select quantumflow.list_runs(since => '2030-01-02', until => '2030-01-02')$$, 'QF224', null, 'no time at all');

-- Without a test's clock by the ids.
set local quantumflow.now = '';
insert into runs values (5, quantumflow.start_flow('v'));
select is(
  pg_temp.ns(array(select run_id from quantumflow.list_runs(since => now() - interval '1 min', until => now() + interval '1 min'))), '{5}', 'by the clock');

select is((select started_by from quantumflow.list_runs() where origin is null limit 1), session_user::text, 'who started it');
select quantumflow.schedule_flow('hourly', 'v', '@hourly');
update quantumflow.schedules set due_at = now() - interval '1 min', next_at = now() - interval '1 min';
select quantumflow.sweep();
select is((select origin from quantumflow.list_runs('v') limit 1), 'schedule:hourly', 'what started it');

select * from finish();
rollback;
