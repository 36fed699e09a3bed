begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 3, "retry_delay": 0, "steps": [
  {"name": "list"}, {"name": "each", "type": "map", "dependencies": ["list"]},
  {"name": "sum", "dependencies": ["list", "each"]}, {"name": "held"}, {"name": "broken", "max_attempts": 1}]}');
select quantumflow.start_flow('w', '{"n": 1}', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '["x", null]');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'each', 1, 'not yet');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 0, '"X"');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 9, commands => '{held}');

select results_eq(
  'select step_name, status, input, output, error_message, attempt, enqueued_at is not null from quantumflow.workflow_step_states order by 1',
  $$values
    ('broken' collate "C", 'started', '{"run": {"n": 1}}'::jsonb, null::jsonb, null::text, 0, true),
    ('each', 'started', null, null, null, 1, true),
    ('held', 'started', '{"run": {"n": 1}}', null, null, 1, true),
    ('list', 'done', '{"run": {"n": 1}}', '["x", null]', null, 0, true),
    ('sum', 'pending', null, null, null, null, false)$$,
  'steps: pending, started, done');
select results_eq(
  'select step_name, item_index, item_value, status, output, error_message, attempt from quantumflow.workflow_step_tasks order by 1, 2',
  $$values
    ('broken' collate "C", 0, null::jsonb, 'pending', null::jsonb, null::text, 0),
    ('each', 0, '"x"', 'done', '"X"', null, 0),
    ('each', 1, 'null', 'pending', null, 'not yet', 1),
    ('held', 0, null, 'started', null, null, 1),
    ('list', 0, null, 'done', '["x", null]', null, 0)$$,
  'tasks: pending, started, done');
select results_eq(
  'select from_step_name, to_step_name from quantumflow.workflow_step_dependencies order by 1, 2',
  $$values ('each' collate "C", 'sum' collate "C"), ('list', 'each'), ('list', 'sum')$$, 'dependencies: from what must be done first, to what waits');
select results_eq(
  'select workflow_run_id, from_step_name, to_step_name from quantumflow.workflow_step_dependencies order by 2, 3',
  'select run_id, depends_on_step, step_slug from quantumflow.step_dependencies order by 2, 3', 'the same edges in both words');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 1);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'sum', output => '{"sum": 2}');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'broken', error_message => 'boom');
select results_eq(
  'select step_name, status, input, output, error_message, attempt from quantumflow.workflow_step_states order by 1',
  $$values
    ('broken' collate "C", 'failed', '{"run": {"n": 1}}'::jsonb, null::jsonb, 'boom', 1),
    ('each', 'done', null, '["X", null]', null, 1),
    ('held', 'cancelled', '{"run": {"n": 1}}', null, null, 1),
    ('list', 'done', '{"run": {"n": 1}}', '["x", null]', null, 0),
    ('sum', 'done', '{"run": {"n": 1}, "list": ["x", null], "each": ["X", null]}', '{"sum": 2}', null, 0)$$,
  'in the end');
select results_eq(
  'select s.run_id, s.step_slug, s.status in (''created'', ''completed'') from quantumflow.step_states s order by 2',
  'select v.workflow_run_id, v.step_name, v.status in (''pending'', ''done'') from quantumflow.workflow_step_states v order by 2',
  'each row is there once, under both names');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
