begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "list"},
  {"name": "single", "dependencies": ["list"]},
  {"name": "each", "type": "map", "dependencies": ["list"]},
  {"name": "empty", "type": "map", "map_over": "list", "dependencies": ["list", "single"]},
  {"name": "last", "dependencies": ["single", "each"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
update quantumflow.workflow_runs set status = 'paused';
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '["x", "y"]');

select results_eq(
  'select step_slug, status, remaining_deps from quantumflow.step_states order by 1',
  $$values
    ('each' collate "C", 'created', 0), ('empty', 'created', 1), ('last', 'created', 2), ('list', 'completed', 0),
    ('single', 'created', 0)$$,
  'a paused run records reports but starts nothing');
select is(quantumflow.start_ready_steps('10000000-0000-0000-0000-000000000001'), 0, 'nor does a call start it');
select is_empty('select from pgmq.q_quantum_flow_queue', 'nothing is queued');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

update quantumflow.workflow_runs set status = 'started';
set local quantumflow.now = '2030-01-01 00:00:05+00';
select is(quantumflow.start_ready_steps('10000000-0000-0000-0000-000000000001'), 2, 'then two steps start');
select results_eq(
  'select step_slug, status, started_at from quantumflow.step_states where started_at is not null order by 1',
  $$values
    ('each' collate "C", 'started', '2030-01-01 00:00:05+00'::timestamptz),
    ('list', 'completed', '2030-01-01 00:00:00+00'),
    ('single', 'started', '2030-01-01 00:00:05+00')$$,
  'those whose dependencies are done');
select results_eq(
  $$select step_slug, task_index, item_value from quantumflow.step_tasks where status = 'queued' order by 1, 2$$,
  $$values ('each' collate "C", 0, '"x"'::jsonb), ('each', 1, '"y"'), ('single', 0, null)$$,
  'with their tasks');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 3, 'and their messages');
select is(quantumflow.start_ready_steps('10000000-0000-0000-0000-000000000001'), 0, 'a second call finds nothing');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
