begin;
select plan(13);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.set_limit('api', per_second => 2);
select quantumflow.define_flow('{"slug": "w", "timeout": 1000, "steps": [{"name": "a", "type": "map", "limit": "api"}]}');
select quantumflow.start_flow('w', (select jsonb_agg(n) from generate_series(0, 19) n), run_id => '10000000-0000-0000-0000-000000000001');

create function pg_temp.claimed(seconds numeric) returns bigint language plpgsql as $$
begin
  perform set_config('quantumflow.now', (timestamptz '2030-01-01 00:00:00+00' + make_interval(secs => seconds))::text, true);
  return (select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 100));
end
$$;

select is(pg_temp.claimed(0), 1::bigint, 'one begins');
select results_eq(
  'select to_char(turn_at, ''SS.MS'') from quantumflow._limit_waits where turn_at is not null order by 1',
  $$values ('00.500'), ('01.000'), ('01.500'), ('02.000'), ('02.500'), ('03.000')$$, 'those of the next three seconds have their moments');
select is((select count(*) from quantumflow._limit_waits where let_go_at is null), 13::bigint, 'the others sleep');
select is(pg_temp.claimed(0.4), 0::bigint, 'nothing before the next moment');
select is(pg_temp.claimed(0.5), 1::bigint, 'and then one');
select is(pg_temp.claimed(1.7), 2::bigint, 'who looks later gets all whose moments have come');
select results_eq(
  $$select reason, tasks from quantumflow.why('10000000-0000-0000-0000-000000000001')$$,
  $$values ('waits for a limit', 16::bigint), ('running', 4)$$, 'why says so');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
-- Nobody looks for a minute.
select is(pg_temp.claimed(61.7), 1::bigint, 'what was not used in time does not come all at once');
select is(pg_temp.claimed(62.2), 1::bigint, 'it goes on as before');
select is(pg_temp.claimed(63.2), 2::bigint, 'evenly');
select quantumflow.set_limit('api', at_once => 9, per_second => 100);
select is(pg_temp.claimed(66), 1::bigint, 'with both limits both hold: eight are with workers');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
