begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "two", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('one', '1', run_id => '10000000-0000-0000-0000-000000000001', idempotency_key => 'k');

select is(
  quantumflow.start_flow('one', '2', idempotency_key => 'k', priority => 9),
  '10000000-0000-0000-0000-000000000001'::uuid,
  'the same key is the same run');
select is(
  quantumflow.start_flow('one', '3', run_id => '10000000-0000-0000-0000-000000000003', idempotency_key => 'k'),
  '10000000-0000-0000-0000-000000000001'::uuid,
  'also with another run_id');
select is(
  quantumflow.start_flow('two', '2', run_id => '10000000-0000-0000-0000-000000000002', idempotency_key => 'k'),
  '10000000-0000-0000-0000-000000000002'::uuid,
  'another workflow has keys of its own');
select isnt(
  quantumflow.start_flow('one', '4', idempotency_key => 'K'),
  '10000000-0000-0000-0000-000000000001'::uuid,
  'another key is another run');

select results_eq(
  'select workflow_slug, idempotency_key, input, priority from quantumflow.workflow_runs order by 1, 2',
  $$values ('one' collate "C", 'K', '4'::jsonb, 0), ('one', 'k', '1', 0), ('two', 'k', '2', 0)$$,
  'the run keeps what it was started with first');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 3, 'a message a run');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
