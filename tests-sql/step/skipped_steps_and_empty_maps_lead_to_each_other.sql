begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "list"},
  {"name": "empty", "type": "map", "dependencies": ["list"]},
  {"name": "skipped", "dependencies": ["empty"], "if": "$.empty.size() > 0"},
  {"name": "empty_too", "type": "map", "map_over": "empty", "dependencies": ["empty", "skipped"], "join": "any"},
  {"name": "last", "dependencies": ["empty_too", "skipped"], "join": "any", "if": "$status.skipped == \"completed\""}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '[]');

select results_eq(
  'select step_slug, status, skip_reason from quantumflow.step_states order by 1',
  $$values
    ('empty' collate "C", 'completed', null), ('empty_too', 'completed', null), ('last', 'skipped', 'condition'),
    ('list', 'completed', null), ('skipped', 'skipped', 'condition')$$,
  'in one call, to the end');
select results_eq('select status, output from quantumflow.workflow_runs', $$values ('completed', '{}'::jsonb)$$, 'of the run');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
