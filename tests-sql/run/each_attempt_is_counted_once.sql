-- A sweep counts in step_hours what has ended. Here nobody waits for the clock.
begin;
select plan(14);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-03-01 10:00:00+00';

-- Twice: what was noted meanwhile is counted the next time.
create function pg_temp.count_runs() returns int language plpgsql as $$
declare
  v_counted int := 0;
begin
  perform quantumflow._make_counting();
  for n in 1 .. 2 loop
    update quantumflow._counting set next_to = quantumflow._uuid_v7(), writers = '{}';
    v_counted := v_counted + quantumflow._count_runs(quantumflow._now());
  end loop;
  return v_counted;
end $$;
create function pg_temp.counted() returns text language sql as $$
  select string_agg(concat_ws(' ', h.step_slug, h.n, nullif(h.retries, 0), nullif(h.failures::text, '{}')), '; ' order by h.step_slug)
  from quantumflow.step_hours h where h.hour = '-infinity' $$;
create function pg_temp.do_one(step text, fails boolean default false) returns text language sql as $$
  select case
    when fails then (
      select f.outcome from quantumflow.fail_tasks(jsonb_build_array(to_jsonb(c) || '{"error_message": "no", "retry_after": 0, "usage": {"tokens": 3}}')) f)
    else (select f.outcome from quantumflow.complete_tasks(jsonb_build_array(to_jsonb(c) || '{"output": 1, "usage": {"tokens": 4, "usd": 0.5}}')) f)
  end
  from quantumflow.claim_tasks(gen_random_uuid(), commands => array[step]) c $$;

select quantumflow.define_flow('{"slug": "w", "max_attempts": 2, "retry_delay": 0, "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');

create temporary table run on commit drop as select quantumflow.start_flow('w') as id;
select pg_temp.do_one('a', true), pg_temp.do_one('a');
set local quantumflow.now = '2030-03-01 10:00:30+00';
select is(pg_temp.count_runs(), 0, 'nothing has ended');
select is(pg_temp.counted(), null, 'nothing is counted');
select pg_temp.do_one('b');
select is(pg_temp.count_runs(), 1, 'a run that went on when its turn came is counted when it has ended');
select is(pg_temp.counted(), '_run 1; a 2 1 {"error": 1}; b 1', 'it, and each of its attempts');
select pg_temp.count_runs();
select is(pg_temp.counted(), '_run 1; a 2 1 {"error": 1}; b 1', 'once');
select results_eq(
  $$select hour, step_slug::text collate "default", waited_seconds, worked_seconds, took_seconds, usage from quantumflow.step_hours where hour > '-infinity' order by 2$$,
  $$values
    ('2030-03-01 10:00+00'::timestamptz, '_run', 0::numeric, 0::numeric, 30::numeric, '{}'::jsonb),
    ('2030-03-01 10:00+00', 'a', 0, 0, 0, '{"tokens": 7, "usd": 0.5}'),
    ('2030-03-01 10:00+00', 'b', 30, 0, 30, '{"tokens": 4, "usd": 0.5}')$$,
  'in its hour, with what it took and used');

set local quantumflow.now = '2030-03-01 10:01:00+00';
select (quantumflow.retry_run(id, 'b')).status from run;
set local quantumflow.now = '2030-03-01 10:01:01+00';
select pg_temp.do_one('b');
select is(pg_temp.count_runs(), 1, 'a retry of what was counted');
select is(pg_temp.counted(), '_run 2; a 2 1 {"error": 1}; b 2', 'adds what it ran again');

create temporary table other on commit drop as select quantumflow.start_flow('w') as id;
select pg_temp.do_one('a'), pg_temp.do_one('b');
select (quantumflow.retry_run(id, 'b')).status from other;
set local quantumflow.now = '2030-03-01 10:02:00+00';
select pg_temp.do_one('b', true), pg_temp.do_one('b', true);
select is(pg_temp.count_runs(), 1, 'a run that was retried before anybody counted it');
select is(pg_temp.counted(), '_run 3 {"failed": 1}; a 3 1 {"error": 1}; b 5 1 {"error": 2}', 'is counted whole, what was undone too');

select (quantumflow.retry_run(id)).status from other;
set local quantumflow.now = '2030-03-01 10:03:00+00';
select pg_temp.do_one('b');
select quantumflow.delete_run(id) from other;
select is(pg_temp.counted(), '_run 4 {"failed": 1}; a 3 1 {"error": 1}; b 6 1 {"error": 2}', 'what is deleted before it was counted is');

select quantumflow.start_flow('w', run_id => '10000000-0000-4000-8000-000000000001');
select pg_temp.do_one('a'), pg_temp.do_one('b');
set local quantumflow.now = '2030-03-01 12:00:00+00';
select is(pg_temp.count_runs(), 1, 'a run whose id says nothing of when it was started');
select is(quantumflow.prune('1 min'), 2::bigint, 'all of them are pruned');
select is(pg_temp.counted(), '_run 5 {"failed": 1}; a 4 1 {"error": 1}; b 7 1 {"error": 2}', 'and stay counted, once');

select * from finish();
rollback;
