begin;
select plan(7);

select quantumflow.define_flow('{"slug": "maps", "steps": [{"name": "other"}, {"name": "m", "type": "map"}]}');

select throws_ok(
  $$select quantumflow.start_flow('maps', '{"a": 1}')$$,
  'QF204', 'workflow "maps" maps over its input, which must be an array', 'an object');
select throws_ok($$select quantumflow.start_flow('maps')$$, 'QF204', null, 'the default');
select throws_ok($$select quantumflow.start_flow('maps', 'null')$$, 'QF204', null, 'JSON null');
select throws_ok(
  $$select quantumflow.start_flows('maps', array['[1]', '"x"']::jsonb[])$$, 'QF204', null, 'one of several');
select is_empty('select from quantumflow.workflow_runs', 'nothing was started');
select is_empty('select from quantumflow.step_tasks', 'no task was made');
select is_empty('select from pgmq.q_quantum_flow_queue', 'nothing was queued');

select * from finish();
rollback;
