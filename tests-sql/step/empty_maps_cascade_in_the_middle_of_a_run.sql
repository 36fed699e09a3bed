begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "list"}, {"name": "other"},
  {"name": "left", "type": "map", "dependencies": ["list"]},
  {"name": "right_1", "type": "map", "dependencies": ["list"]},
  {"name": "right_2", "type": "map", "dependencies": ["right_1"]},
  {"name": "join", "dependencies": ["left", "right_2"]},
  {"name": "waits", "dependencies": ["left", "other"]},
  {"name": "deep", "type": "map", "dependencies": ["right_2"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '[]');

select results_eq(
  'select step_slug, status, remaining_deps, initial_tasks, output from quantumflow.step_states order by 1',
  $$values
    ('deep' collate "C", 'completed', 0, 0, '[]'::jsonb), ('join', 'started', 0, 1, null), ('left', 'completed', 0, 0, '[]'),
    ('list', 'completed', 0, 1, null), ('other', 'started', 0, 1, null), ('right_1', 'completed', 0, 0, '[]'),
    ('right_2', 'completed', 0, 0, '[]'), ('waits', 'created', 1, 1, null)$$,
  'to any depth, and what waits for something else still waits');
select is((select remaining_steps from quantumflow.workflow_runs), 3, 'each is counted once');
select results_eq(
  'select step_slug, input from quantumflow.claim_tasks(gen_random_uuid(), 10) order by 1',
  $$values ('join', '{"run": {}, "left": [], "right_2": []}'::jsonb), ('other', '{"run": {}}')$$,
  'what comes after is given empty arrays');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'join', output => '1');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'other');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'waits', output => '2');
select results_eq(
  'select status, output from quantumflow.workflow_runs',
  $$values ('completed', '{"join": 1, "waits": 2, "deep": []}'::jsonb)$$,
  'and the run ends');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
