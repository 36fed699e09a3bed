begin;
select plan(3);

-- Whoever reads messages sees which there are, and locks them in a second statement: meanwhile somebody else may have had them.
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
create function pg_temp.locked(commands text[]) returns bigint language sql as $$
  select count(*)
  from unnest(quantumflow._lock_messages(
    'quantum_flow_queue', array(select msg_id from pgmq.q_quantum_flow_queue), commands, clock_timestamp()))
$$;

select is(pg_temp.locked('{a}'), 1::bigint, 'what is visible is locked');
select is(pg_temp.locked('{b}'), 0::bigint, 'what is of another command is not');
select quantumflow.claim_tasks(gen_random_uuid());
select is(pg_temp.locked('{a}') + pg_temp.locked(null), 0::bigint, 'nor is what was claimed meanwhile');

select * from finish();
rollback;
