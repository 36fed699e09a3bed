begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
create function pg_temp.at(at text) returns void language sql as $$ select set_config('quantumflow.now', at, true) $$;
create function pg_temp.do_one(step text, out_ text default '1') returns void language sql as $$
  select quantumflow.complete_task(c.run_id, c.step_slug, c.task_index, out_::jsonb, c.lease_token)
  from quantumflow.claim_tasks(gen_random_uuid(), commands => array[step]) c $$;
create function pg_temp.count_runs() returns void language plpgsql as $$
begin
  perform quantumflow._make_counting();
  for n in 1 .. 2 loop
    update quantumflow._counting set next_to = quantumflow._uuid_v7(), writers = '{}';
    perform quantumflow._count_runs(quantumflow._now());
  end loop;
end $$;

-- c after a and b; m a map after c.
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c", "dependencies": ["a", "b"]},
  {"name": "m", "type": "map", "dependencies": ["c"]}]}');
select pg_temp.at('2030-03-01 10:00:00+00');
create temporary table run on commit drop as select quantumflow.start_flow('w') as id;
select is((select note from quantumflow.eta((select id from run))), 'nothing is known of a, b, c, m', 'nothing is known');
select is((select expected_at from quantumflow.eta((select id from run))), null, 'so nothing is expected');

select pg_temp.at('2030-03-01 10:00:10+00'), pg_temp.do_one('a');
select pg_temp.at('2030-03-01 10:01:00+00'), pg_temp.do_one('b');
select pg_temp.at('2030-03-01 10:01:30+00'), pg_temp.do_one('c', '[1, 2, 3, 4]');
select pg_temp.at('2030-03-01 10:03:10+00'), pg_temp.do_one('m'), pg_temp.do_one('m'), pg_temp.do_one('m'), pg_temp.do_one('m');
select pg_temp.count_runs();
select is((select expected_at from quantumflow.eta((select id from run))), '2030-03-01 10:03:10+00'::timestamptz, 'of one that has ended when it did');

select pg_temp.at('2030-03-01 12:00:00+00');
truncate run;
insert into run select quantumflow.start_flow('w');
-- 60 s for b, 30 s for c, 100 s for m.
select ok(abs(extract(epoch from expected_at - '2030-03-01 12:00:00+00') / 190 - 1) < 0.05 and based_on = 1 and note is null and p95_at >= expected_at,
  'along the longest way: ' || expected_at)
from quantumflow.eta((select id from run));
select pg_temp.at('2030-03-01 12:00:10+00'), pg_temp.do_one('a'), pg_temp.do_one('b');
select ok(abs(extract(epoch from expected_at - '2030-03-01 12:00:00+00') / 140 - 1) < 0.05, 'what is done takes no longer: ' || expected_at)
from quantumflow.eta((select id from run));
select pg_temp.do_one('c', '[1, 2, 3, 4]');
select pg_temp.at('2030-03-01 12:00:20+00');
create temporary table c on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 4);
select pg_temp.at('2030-03-01 12:00:30+00');
select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from c where task_index = 0;
select is(expected_at, '2030-03-01 12:01:00+00'::timestamptz, 'a map as fast as it goes') from quantumflow.eta((select id from run));
select (quantumflow.pause_run(id)).status from run;
select results_eq($$select expected_at, note from quantumflow.eta((select id from run))$$, $$values (null::timestamptz, 'it is paused')$$, 'a paused one');
select (quantumflow.resume_run(id)).status from run;
select pg_temp.at('2030-03-01 12:00:40+00');
select is((select quantumflow.report_progress(run_id, step_slug, task_index, lease_token, 1, 2) from c where task_index = 1), 'held', 'a task may say how far it is');
select throws_ok($$select quantumflow.eta('10000000-0000-0000-0000-000000000009')$$, 'QF201', null, 'an unknown run');

select * from finish();
rollback;
