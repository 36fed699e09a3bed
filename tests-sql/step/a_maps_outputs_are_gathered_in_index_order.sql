begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "maps", "steps": [
  {"name": "m", "type": "map"}, {"name": "again", "type": "map", "dependencies": ["m"]}, {"name": "sum", "dependencies": ["again"]}]}');
select quantumflow.start_flow('maps', '["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 20);

select quantumflow.complete_task(run_id, step_slug, task_index, jsonb_build_array(task_index), lease_token)
from (select * from claimed where task_index not in (3, 7) order by task_index desc) c;
select results_eq(
  'select status, remaining_tasks, initial_tasks, output from quantumflow.step_states where step_slug = ''m''',
  $$values ('started', 2, 12, null::jsonb)$$,
  'nothing is gathered before all are done');
select quantumflow.complete_task(run_id, step_slug, task_index, 'null', lease_token) from claimed where task_index = 7;
select quantumflow.complete_task(run_id, step_slug, task_index, null, lease_token) from claimed where task_index = 3;

select results_eq(
  'select status, remaining_tasks, output from quantumflow.step_states where step_slug = ''m''',
  $$values ('completed', 0, '[[0], [1], [2], null, [4], [5], [6], null, [8], [9], [10], [11]]'::jsonb)$$,
  'in index order, nulls kept, whoever came last');
select results_eq(
  'select task_index, item_value from quantumflow.step_tasks where step_slug = ''again'' and task_index in (0, 3, 11) order by 1',
  $$values (0, '[0]'::jsonb), (3, 'null'), (11, '[11]')$$,
  'a map over it has an item per output');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 12, 'and a message');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'again', i, to_jsonb(-i)) from generate_series(0, 11) i;
select results_eq(
  'select input -> ''again'' from quantumflow.claim_tasks(gen_random_uuid())',
  $$values ('[0, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11]'::jsonb)$$,
  'what depends on a map is given the array');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
