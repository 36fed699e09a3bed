begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 600, "steps": [{"name": "a"}]}');
select count(*) from quantumflow.start_flows('w', array_fill('1'::jsonb, array[1100]));
select quantumflow.release_tasks(
  (select jsonb_agg(to_jsonb(c) || '{"reason": "it asks for x"}') from quantumflow.claim_tasks(gen_random_uuid(), 1100) c));

create function pg_temp.due() returns int language sql as $$
  select count(*)::int from pgmq.q_quantum_flow_queue where vt <= quantumflow._now()
$$;

select is(pg_temp.due(), 0, 'all are left to other code');
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'a', '{a}', '{quantum_flow_queue}');
select is(pg_temp.due(), 1000, 'of which a new worker has a thousand at once');
set local quantumflow.now = '2030-01-01 00:01:00+00';
select is(pg_temp.due(), 1100, 'and the others come back by themselves');

select * from finish();
rollback;
