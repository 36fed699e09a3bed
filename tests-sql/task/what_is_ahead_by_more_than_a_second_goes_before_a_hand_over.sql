begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "a"}, {"name": "c", "dependencies": ["a"], "queue": "q2"}]}');
select quantumflow.define_flow('{"slug": "other", "steps": [{"name": "x"}]}');
select quantumflow.start_flow('w', run_id => format('10000000-0000-0000-0000-00000000000%s', n)::uuid) from generate_series(1, 3) n;
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000004', priority => 5);
select quantumflow.start_flow('v', run_id => '10000000-0000-0000-0000-000000000005');
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000009', 9);
select quantumflow.start_flow('other');
create function pg_temp.handed_out(n int, quantity int default 1) returns text language sql as $$
  select string_agg(x.step_slug, ',')
  from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001',
    -- Beside one that names nothing: a result alone may go another way.
    (select jsonb_agg(to_jsonb(c)) || '[{}]' from claimed c where right(c.run_id::text, 1) = n::text),
    quantity,
    '{q2,quantum_flow_queue}') x
  where x.outcome is null
$$;

set local quantumflow.now = '2030-01-01 00:00:00.999+00';
select is(pg_temp.handed_out(1), 'b', 'less than a second ahead is as good as together');

set local quantumflow.now = '2030-01-01 00:00:03+00';
select is(pg_temp.handed_out(4), 'b', 'priority counts as in a claim: five seconds before three');
select is(
  (select q.read_ct from pgmq.q_quantum_flow_queue q where q.message @> '{"workflow_run_id": "10000000-0000-0000-0000-000000000004"}'), 0,
  'without a claim');
select is(pg_temp.handed_out(5), 'c', 'what waits in another queue does not count');

set local quantumflow.now = '2030-01-01 00:00:01+00';
select is(pg_temp.handed_out(2), 'x', 'a second ahead goes first');
select is(pg_temp.handed_out(3), 'b', 'and counts no more once somebody has it');
select quantumflow.start_flow('w'), quantumflow.start_flow('v');
create temp table more as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000009', 9, commands => '{a}');
select set_eq(
  $$select x.step_slug
  from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001',
    (select jsonb_agg(to_jsonb(c)) from more c),
    9, '{{quantum_flow_queue},{q2}}', commands => '{{b},{c}}') x
  where x.outcome is null$$,
  array['b', 'c'], 'whatever dimensions the arrays have');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
