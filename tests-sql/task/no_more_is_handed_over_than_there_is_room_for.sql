begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "n", "type": "map", "dependencies": ["m"]},
  {"name": "y", "dependencies": ["m"]}, {"name": "z", "dependencies": ["m"]}, {"name": "b", "dependencies": ["a"]}, {"name": "later", "dependencies": ["a"], "start_delay": 5}]}');
select quantumflow.define_flow('{"slug": "other", "steps": [{"name": "x"}]}');
select quantumflow.start_flow('w', run_id => format('10000000-0000-0000-0000-00000000000%s', n)::uuid, priority => case n when 6 then 9 else n end) from generate_series(1, 7) n;
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000009', 9);
create function pg_temp.handed_out(runs int[], quantity int, output jsonb) returns setof text language sql as $$
  select concat_ws(' ', x.step_slug, right(x.run_id::text, 1), x.task_index)
  from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001',
    (
      select jsonb_agg(to_jsonb(c) || jsonb_build_object('output', output))
      from claimed c where right(c.run_id::text, 1)::int = any (runs)
    ),
    quantity) x
  where x.outcome is null
  order by 1
$$;

select results_eq(
  $$select pg_temp.handed_out('{1}', 3, '[7, 8, 9]')$$, $$values ('b 1 0'), ('m 1 0'), ('m 1 1')$$, 'of one step and map after the other');
select results_eq(
  $$select status, attempts, lease_token is null, count(*)
  from quantumflow.step_tasks where step_slug in ('b', 'm') group by 1, 2, 3 order by 1$$,
  $$values ('queued', 0, true, 1::bigint), ('started', 1, false, 3)$$, 'the rest is queued');
select is((select count(*) from pgmq.q_quantum_flow_queue where vt <= quantumflow._now()), 1::bigint, 'for anybody to see');
select quantumflow.claim_tasks('20000000-0000-0000-0000-000000000009');
select is(
  (select count(*) from pg_temp.handed_out('{2}', 2, '[]') where handed_out ~ '^[byz] 2 0$'), 2::bigint,
  'what empty maps lead to in the same call counts too');
select results_eq(
  $$select status, count(*) from quantumflow.step_tasks where right(run_id::text, 1) = '2' and step_slug in ('b', 'y', 'z') group by 1 order by 1$$,
  $$values ('queued', 1::bigint), ('started', 2)$$, 'the third is for somebody else');
select quantumflow.claim_tasks('20000000-0000-0000-0000-000000000009');
select results_eq(
  $$select pg_temp.handed_out('{3,4}', 1, '[]')$$, $$values ('b 4 0')$$, 'of several runs that of the higher priority first');
select quantumflow.claim_tasks('20000000-0000-0000-0000-000000000009', 9);
select results_eq(
  $$select pg_temp.handed_out('{6,7}', 1, '[]')$$, $$values ('b 6 0')$$, 'in whichever order they were started');
select quantumflow.claim_tasks('20000000-0000-0000-0000-000000000009', 9);
select quantumflow.start_flow('other');
select set_eq(
  $$select split_part(h, ' ', 1) from pg_temp.handed_out('{5}', 4, '[]') h$$, array['b', 'x', 'y', 'z'],
  'what is delayed takes no room, and what room is left is used');
select is((select count(*) from quantumflow.step_tasks where step_slug = 'later' and status = 'queued'), 7::bigint, 'it waits');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
