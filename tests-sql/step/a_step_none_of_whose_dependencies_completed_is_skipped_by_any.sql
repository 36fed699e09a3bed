begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a", "if": "1 == 2"}, {"name": "b", "if": "1 == 2"},
  {"name": "all_of", "dependencies": ["a", "b"]},
  {"name": "any_of", "dependencies": ["a", "b"], "join": "any"},
  {"name": "none_of", "dependencies": ["a", "b"], "join": "none"},
  {"name": "behind", "dependencies": ["any_of"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select results_eq(
  $$select step_slug, status, skip_reason from quantumflow.step_states order by 1$$,
  $$values
    ('a' collate "C", 'skipped', 'condition'), ('all_of', 'skipped', 'dependency'), ('any_of', 'skipped', 'dependency'),
    ('b', 'skipped', 'condition'), ('behind', 'skipped', 'dependency'), ('none_of', 'started', null)$$,
  'all and any ask for more than there is, none asks for nothing');
select is((select input from quantumflow.claim_tasks(gen_random_uuid())), '{"run": {}}'::jsonb, 'whose input has no key of them');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'none_of', output => '1');
select is((select output from quantumflow.workflow_runs), '{"none_of": 1}'::jsonb, 'skipped leaves are absent from the output');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
