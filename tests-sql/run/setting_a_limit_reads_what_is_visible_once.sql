begin;
select plan(2);

select quantumflow.define_flow('{"slug": "limited", "steps": [{"name": "a", "command": "call", "limit": "api"}]}');
select quantumflow.define_flow('{"slug": "free", "steps": [{"name": "b", "command": "call"}]}');
select quantumflow.start_flows('free', array['1', '2', '3']::jsonb[]);

create function pg_temp.scans_of(p_statement text) returns bigint language plpgsql as $$
declare
  v_before bigint := pg_stat_get_xact_numscans('pgmq.q_quantum_flow_queue_vt_idx'::regclass);
begin
  execute p_statement;
  return pg_stat_get_xact_numscans('pgmq.q_quantum_flow_queue_vt_idx'::regclass) - v_before;
end $$;

select cmp_ok(
  pg_temp.scans_of($$select quantumflow.set_limit('api', 1)$$), '<', 10::bigint,
  'messages of the same command that the limit is not for are read once');
select is((select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 5)), 3::bigint, 'and stay as they are');

select * from finish();
rollback;
