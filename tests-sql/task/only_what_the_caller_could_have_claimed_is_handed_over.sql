begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "elsewhere", "dependencies": ["a"], "queue": "q2"},
  {"name": "later", "dependencies": ["a"], "start_delay": 5}]}');
select quantumflow.start_flow('w', run_id => format('10000000-0000-0000-0000-00000000000%s', n)::uuid) from generate_series(1, 4) n;
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000009', 9);
create function pg_temp.result(n int) returns jsonb language sql as $$
  select jsonb_agg(to_jsonb(c)) from claimed c where right(c.run_id::text, 1) = n::text
$$;

select results_eq(
  $$select step_slug from quantumflow.complete_and_claim('20000000-0000-0000-0000-000000000001', pg_temp.result(1), 9)
  where outcome is null$$,
  $$values ('b')$$,
  'nothing of another queue, nothing that is delayed');
select results_eq(
  $$select step_slug
  from quantumflow.complete_and_claim('20000000-0000-0000-0000-000000000001', pg_temp.result(2), 9, commands => '{later}')
  where outcome is null$$,
  'select null::text where false',
  'nothing of another command');
select results_eq(
  $$select step_slug
  from quantumflow.complete_and_claim('20000000-0000-0000-0000-000000000001', pg_temp.result(3), 2, queues => '{q2,quantum_flow_queue}')
  where outcome is null order by 1$$,
  $$values ('b'), ('elsewhere')$$,
  'of any queue it serves');
select results_eq(
  'select step_slug, count(*) from quantumflow.step_tasks where status = ''queued'' group by 1 order by 1',
  $$values ('b' collate "C", 1::bigint), ('elsewhere', 2), ('later', 3)$$,
  'the rest is queued');

set local quantumflow.now = '2030-01-01 00:00:02+00';
select results_eq(
  $$select step_slug, run_id from quantumflow.complete_and_claim('20000000-0000-0000-0000-000000000001', pg_temp.result(4), 1)
  where outcome is null$$,
  $$values ('b', '10000000-0000-0000-0000-000000000002'::uuid)$$,
  'what waits for more than a second goes first');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select throws_ok(
  $$select quantumflow.complete_and_claim('20000000-0000-0000-0000-000000000001', pg_temp.result(4), 0)$$,
  'QF302', null, 'a bad claim is refused');
select throws_ok(
  $$select quantumflow.complete_and_claim('20000000-0000-0000-0000-000000000001', '{}', 1)$$,
  'QF301', null, 'and so are bad results');
select throws_ok(
  $$select quantumflow.complete_and_claim('20000000-0000-0000-0000-000000000001', '[]', 1, '{nowhere}')$$,
  'QF401', null, 'and an unknown queue');

select * from finish();
rollback;
