begin;
select plan(2);

-- Who looks for what no claim looks for sees which messages there are, and locks them in a second statement: meanwhile somebody else may
-- have had them.
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
create function pg_temp.locked() returns bigint language sql as $$
  select count(*)
  from unnest(quantumflow._lock_messages(
    'quantum_flow_queue', array(select msg_id from pgmq.q_quantum_flow_queue), clock_timestamp()))
$$;

select is(pg_temp.locked(), 1::bigint, 'what is visible is locked');
select quantumflow.claim_tasks(gen_random_uuid());
select is(pg_temp.locked(), 0::bigint, 'what was claimed meanwhile is not');

select * from finish();
rollback;
