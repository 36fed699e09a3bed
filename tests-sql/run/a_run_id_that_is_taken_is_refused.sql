begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('one', '1', run_id => '10000000-0000-0000-0000-000000000001');

select throws_ok(
  $$select quantumflow.start_flow('one', '2', run_id => '10000000-0000-0000-0000-000000000001')$$,
  'QF202', 'run 10000000-0000-0000-0000-000000000001 exists already', 'the second start is refused');

select throws_ok(
  $$select quantumflow.start_flow(
      'one', '2', run_id => '10000000-0000-0000-0000-000000000001', idempotency_key => 'new')$$,
  'QF202', null, 'a new idempotency key does not change that');

select results_eq(
  'select input, idempotency_key from quantumflow.workflow_runs',
  $$values ('1'::jsonb, null::text)$$,
  'the first run is as it was');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'nothing was queued twice');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
