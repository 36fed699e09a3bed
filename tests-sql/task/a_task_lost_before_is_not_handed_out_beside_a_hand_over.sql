begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "other", "steps": [{"name": "x"}]}');
select quantumflow.start_flow('w', run_id => format('10000000-0000-0000-0000-00000000000%s', n)::uuid) from generate_series(1, 2) n;
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000009', 9);
select quantumflow.start_flow('other');
select quantumflow.claim_tasks('20000000-0000-0000-0000-000000000009', lease => '1 s');

set local quantumflow.now = '2030-01-01 00:00:01.5+00';
select is((select tasks from quantumflow.sweep() where action = 'lapsed leases'), 1, 'x was lost');
update pgmq.q_quantum_flow_queue set vt = '2030-01-01 00:00:01.2+00' where message ->> 'step_name' = 'x';
create function pg_temp.handed_out(n int) returns text language sql as $$
  select string_agg(x.step_slug, ',')
  from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001',
    (select jsonb_agg(to_jsonb(c)) from claimed c where right(c.run_id::text, 1) = n::text),
    5) x
  where x.outcome is null
$$;

select is(pg_temp.handed_out(1), 'b', 'what was handed over does not share its worker with it');
set local quantumflow.now = '2030-01-01 00:00:09+00';
select is(pg_temp.handed_out(2), 'x', 'when it is its turn, nothing else is handed out');
select results_eq(
  $$select status from quantumflow.step_tasks where step_slug = 'b' order by run_id$$,
  $$values ('started'), ('queued')$$, 'the other one waits');
select results_eq(
  $$select step_slug from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000002', 5)$$,
  $$values ('b')$$, 'for anybody');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
