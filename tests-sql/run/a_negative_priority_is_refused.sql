begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');

select throws_ok(
  $$select quantumflow.start_flow('one', priority => -1)$$, 'QF205', 'priority must not be negative', 'start_flow');
select throws_ok(
  $$select quantumflow.start_flow('one', priority => null)$$, 'QF205', null, 'null is none either');
select throws_ok(
  $$select quantumflow.start_flows('one', array['1'::jsonb], priority => -1)$$, 'QF205', null, 'start_flows');
select is_empty('select from quantumflow.workflow_runs', 'nothing was started');
select is_empty('select from pgmq.q_quantum_flow_queue', 'nothing was queued');

select * from finish();
rollback;
