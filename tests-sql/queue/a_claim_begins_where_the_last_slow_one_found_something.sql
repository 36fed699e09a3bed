begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', priority => 100);
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');

select set_config(
  'quantumflow.bound_of_quantum_flow_queue',
  format('%s %s', extract(epoch from clock_timestamp()) - 50, extract(epoch from clock_timestamp()) + 100), true);
select results_eq(
  'select run_id from quantumflow.claim_tasks(gen_random_uuid())',
  $$values ('10000000-0000-0000-0000-000000000002'::uuid)$$, 'what lies before the bound is passed over');
select results_eq(
  'select run_id from quantumflow.claim_tasks(gen_random_uuid())',
  $$values ('10000000-0000-0000-0000-000000000001'::uuid)$$, 'unless there is nothing after it');

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000003', priority => 100);
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000004');
select set_config(
  'quantumflow.bound_of_quantum_flow_queue',
  format('%s %s', extract(epoch from clock_timestamp()) - 50, extract(epoch from clock_timestamp()) - 1), true);
select results_eq(
  'select run_id from quantumflow.claim_tasks(gen_random_uuid())',
  $$values ('10000000-0000-0000-0000-000000000003'::uuid)$$, 'it holds for a second');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
