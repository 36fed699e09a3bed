begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "theirs", "steps": [{"name": "a", "type": "map"}]}');
select quantumflow.define_flow('{"slug": "mine", "steps": [{"name": "b"}, {"name": "c", "dependencies": ["b"]}]}');
select quantumflow.start_flow('theirs', (select jsonb_agg(n) from generate_series(1, 3000) n), priority => 9);
set local quantumflow.now = '2030-01-01 00:00:05+00';
create temporary table before on commit drop as table pgmq.q_quantum_flow_queue;
select quantumflow.start_flow('mine');

create function pg_temp.entries() returns bigint language sql as $$
  select pg_stat_get_xact_tuples_returned('pgmq.q_quantum_flow_queue_vt_idx'::regclass)
$$;
create temporary table entries on commit drop as select pg_temp.entries() as read;
create temporary table got on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{b,c}');
select results_eq('select step_slug from got', $$values ('b')$$, 'at once');
select cmp_ok(pg_temp.entries() - read, '<=', 2::bigint, 'reading nothing else') from entries;

update entries set read = pg_temp.entries();
select is_empty($$select from quantumflow.claim_tasks(gen_random_uuid(), 100, commands => '{b,c}')$$, 'then there is none of it');
select cmp_ok(pg_temp.entries() - read, '<=', 2::bigint, 'which takes no more than to pass what was claimed, twice') from entries;

select results_eq(
  $$select step_slug from quantumflow.complete_and_claim(
      gen_random_uuid(), (select jsonb_agg(to_jsonb(g)) from got g), commands => '{b,c}') where outcome is null$$,
  $$values ('c')$$, 'what becomes ready is handed over, whatever waits of others');
select is(
  (select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), 5, commands => '{c,a}')), 5, 'what is asked for is found');
select is(
  (select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), 10000)), 2995, 'without commands, all is');
select results_eq(
  $$select q.message from pgmq.q_quantum_flow_queue q join before using (msg_id) order by msg_id$$,
  'select message from before order by msg_id', 'nothing was put back, and no message is another');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
