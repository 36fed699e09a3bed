begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "theirs", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "mine", "steps": [{"name": "b"}]}');
select count(*) from quantumflow.start_flows('theirs', array_fill('1'::jsonb, array[15]));
set local quantumflow.now = '2030-01-01 00:00:01+00';
select quantumflow.start_flow('mine');

select is_empty(
  $$select from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{b}')$$,
  'it looks at ten times its quantity');
select results_eq(
  $$select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{b}')$$,
  $$values ('b')$$,
  'the next one finds it');
select is(
  (select count(*)::int from pgmq.q_quantum_flow_queue where vt = '2030-01-01 00:00:02+00'), 15,
  'what it has no handler for is put back');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
