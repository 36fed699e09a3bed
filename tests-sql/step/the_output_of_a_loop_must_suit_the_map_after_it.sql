begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "l", "type": "loop", "until": "$iteration == $.run.most", "max_iterations": 9}, {"name": "m", "type": "map", "dependencies": ["l"]}]}');
select quantumflow.start_flow('w', jsonb_build_object('most', 2 - n), run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid)
from generate_series(1, 2) n;
select is(
  quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', 0, '0'), 'completed', 'an iteration before the last puts out what it likes');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', 1, '["a", "b"]');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000002', 'l', 0, '{"no": "array"}');
select results_eq(
  'select run_id, step_slug, status, initial_tasks, error_message from quantumflow.step_states order by 1, 2',
  $$values
    ('10000000-0000-0000-0000-000000000001'::uuid, 'l' collate "C", 'completed', 2, null),
    ('10000000-0000-0000-0000-000000000001', 'm', 'started', 2, null),
    ('10000000-0000-0000-0000-000000000002', 'l', 'failed', 1, 'the output must be an array, because a map maps over it, but is JSON of type object (QF305)'),
    ('10000000-0000-0000-0000-000000000002', 'm', 'cancelled', null, null)$$,
  'the last one''s is mapped over, or fails the loop');
select is((select kind from quantumflow.task_failures), 'error', 'for good');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
