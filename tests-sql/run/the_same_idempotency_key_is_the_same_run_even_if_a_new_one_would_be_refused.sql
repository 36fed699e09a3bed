begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "maps", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('maps', '[1]', run_id => '10000000-0000-0000-0000-000000000001', idempotency_key => 'k');

select is(
  quantumflow.start_flow('maps', '{"no": "array"}', idempotency_key => 'k'),
  '10000000-0000-0000-0000-000000000001'::uuid,
  'an input that the workflow could not map over');
select is(
  quantumflow.start_flow('maps', '[]', idempotency_key => 'k', version => 99),
  '10000000-0000-0000-0000-000000000001'::uuid,
  'a version that does not exist');
select is((select count(*)::int from quantumflow.workflow_runs), 1, 'there is one run');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
