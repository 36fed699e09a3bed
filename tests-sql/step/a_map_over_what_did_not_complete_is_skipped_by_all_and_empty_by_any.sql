begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "other"},
  {"name": "skipped", "if": "1 == 2"},
  {"name": "failed", "on_error": "continue", "max_attempts": 1},
  {"name": "m1", "type": "map", "dependencies": ["skipped"]},
  {"name": "m2", "type": "map", "map_over": "skipped", "dependencies": ["skipped", "other"], "join": "any"},
  {"name": "m3", "type": "map", "dependencies": ["failed"], "chunk_size": 2},
  {"name": "m4", "type": "map", "map_over": "failed", "dependencies": ["failed", "other"], "join": "any", "chunk_size": 2},
  {"name": "behind", "dependencies": ["m1"]},
  {"name": "after_nothing", "dependencies": ["m2", "m4"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'failed');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'other');

select results_eq(
  $$select step_slug, status, skip_reason, initial_tasks, output from quantumflow.step_states where step_slug ~ '^m|^behind' order by 1$$,
  $$values
    ('behind' collate "C", 'skipped', 'dependency', 1, null::jsonb), ('m1', 'skipped', 'dependency', null, null),
    ('m2', 'completed', null, 0, '[]'), ('m3', 'skipped', 'dependency', null, null), ('m4', 'completed', null, 0, '[]')$$,
  'whether it was skipped or has failed');
select is(
  (select input from quantumflow.claim_tasks(gen_random_uuid())), '{"run": {}, "m2": [], "m4": []}'::jsonb,
  'and what comes after the empty ones starts');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'after_nothing');
select is((select status from quantumflow.workflow_runs), 'completed', 'the run ends');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
