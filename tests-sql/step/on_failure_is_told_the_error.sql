begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "cheer", "on_failure": "mourn", "max_attempts": 1, "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('w', '{"n": 1}', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a', error_message => 'boom');

select results_eq(
  'select step_slug, command, input - ''failure'' from quantumflow.claim_tasks(gen_random_uuid(), 10)',
  $$values ('_on_failure', 'mourn', '{"run": {"n": 1}, "error": "step a: boom"}'::jsonb)$$,
  'only on_failure, with the run''s input and error');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
