begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
create temporary table before on commit drop as select msg_id, vt, read_ct from pgmq.q_quantum_flow_queue;

select is_empty($$select from quantumflow.claim_tasks(gen_random_uuid(), commands => '{}')$$, 'it hands out nothing');
select results_eq(
  'select msg_id, vt, read_ct from pgmq.q_quantum_flow_queue', 'select * from before', 'and puts nothing back');

select * from finish();
rollback;
