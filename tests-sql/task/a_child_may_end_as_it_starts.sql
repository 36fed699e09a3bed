begin;
select plan(4);

select quantumflow.define_flow('{"slug": "empty", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.define_flow('{"slug": "unmet", "steps": [{"name": "a", "if": "$.run.x == 1"}]}');
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a", "type": "flow", "flow": "empty", "input": []},
  {"name": "b", "type": "flow", "flow": "unmet", "dependencies": ["a"], "on_error": "continue"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select results_eq('select settled from quantumflow.settle()', 'values (4)', 'two start, and both ends are taken in the same call');
select results_eq(
  $$select status, output from quantumflow.workflow_runs where parent_run_id is null$$, $$values ('completed', '{}'::jsonb)$$,
  'one completed, one failed');
select is_empty('select from pgmq.q_quantum_flow_system', 'no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
