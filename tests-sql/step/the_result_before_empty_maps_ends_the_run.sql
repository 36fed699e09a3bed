begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "list"}, {"name": "each", "type": "map", "dependencies": ["list"]}, {"name": "again", "type": "map", "dependencies": ["each"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '[]'), 'completed', 'an empty list');
select results_eq(
  'select status, remaining_steps, output from quantumflow.workflow_runs',
  $$values ('completed', 0, '{"again": []}'::jsonb)$$,
  'in the same call');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
