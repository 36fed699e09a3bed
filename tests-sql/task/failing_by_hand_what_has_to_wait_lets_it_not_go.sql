begin;
select plan(3);

select quantumflow.define_flow('{"slug": "leaf", "steps": [{"name": "work"}]}');
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "each", "type": "map", "flow": "leaf", "max_children": 1, "max_attempts": 2}]}');
select quantumflow.start_flow('w', '[1, 2]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.settle();
select is(
  quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'each', 1, 'no'), 'retrying', 'one that has to wait fails, and has another attempt');
select results_eq(
  $$select task_index, status, queued_at = 'infinity' from quantumflow.step_tasks where step_slug = 'each' order by 1$$,
  $$values (0, 'started', false), (1, 'queued', true)$$, 'it has to wait as before');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
