begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 600, "retry_delay": 0, "steps": [
  {"name": "a"}, {"name": "quick", "dependencies": ["a"]}, {"name": "slow", "dependencies": ["a"]},
  {"name": "z", "dependencies": ["quick", "slow"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create function pg_temp.work(command text, second int) returns setof quantumflow.claimed_task language plpgsql as $$
begin
  perform set_config('quantumflow.now', ('2030-01-01 00:00:00+00'::timestamptz + make_interval(secs => second))::text, true);
  return query select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', commands => array[command]);
end $$;
create function pg_temp.finish(tasks jsonb, second int) returns text language plpgsql as $$
begin
  perform set_config('quantumflow.now', ('2030-01-01 00:00:00+00'::timestamptz + make_interval(secs => second))::text, true);
  return outcome from quantumflow.complete_tasks(tasks);
end $$;

-- a: waits 1, works 2. quick: 3 to 10. slow: waits 2, fails after 5, waits 20, works 10: until 40.
create temporary table a as select to_jsonb(t) || '{"output": 1}' as task from pg_temp.work('a', 1) t;
select pg_temp.finish((select jsonb_agg(task) from a), 3);
create temporary table quick as select to_jsonb(t) || '{"output": 1}' as task from pg_temp.work('quick', 3) t;
create temporary table slow as select to_jsonb(t) || '{"error_message": "x"}' as task from pg_temp.work('slow', 5) t;
set local quantumflow.now = '2030-01-01 00:00:10+00';
select quantumflow.fail_tasks((select jsonb_agg(task) from slow));
select pg_temp.finish((select jsonb_agg(task) from quick), 10);

select results_eq(
  $$select step_slug, waited, worked, ended_at, slack from quantumflow.critical_path('10000000-0000-0000-0000-000000000001')$$,
  $$values
    ('a', interval '1 s', interval '2 s', '2030-01-01 00:00:03+00'::timestamptz, null::interval),
    ('slow', interval '2 s', interval '5 s', null, null)$$,
  'of a run that goes on: what it waits for longest, as of now');

create temporary table again as select to_jsonb(t) || '{"output": 1}' as task from pg_temp.work('slow', 30) t;
select pg_temp.finish((select jsonb_agg(task) from again), 40);
create temporary table z as select to_jsonb(t) || '{"output": 1}' as task from pg_temp.work('z', 40) t;
select pg_temp.finish((select jsonb_agg(task) from z), 43);

select results_eq(
  $$select step_slug, extract(epoch from ready_at - '2030-01-01 00:00:00+00')::int, waited, worked, slack
    from quantumflow.critical_path('10000000-0000-0000-0000-000000000001')$$,
  $$values
    ('a', 0, interval '1 s', interval '2 s', null::interval),
    ('slow', 3, interval '22 s', interval '15 s', interval '30 s'),
    ('z', 40, interval '0 s', interval '3 s', null)$$,
  'from the first step to the last, by the dependency that ended last; waiting and working apart');
select is(
  (select sum(share) from quantumflow.critical_path('10000000-0000-0000-0000-000000000001')), 1.000, 'the shares are one together');
select results_eq(
  $$select share from quantumflow.critical_path('10000000-0000-0000-0000-000000000001') where step_slug = 'slow'$$,
  $$values (round(37 / 43.0, 3))$$, 'by time');
select throws_ok($$select quantumflow.critical_path(gen_random_uuid())$$, 'QF201', null, 'no such run');

select * from finish();
rollback;
