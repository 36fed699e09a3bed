begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "done", "steps": [
  {"name": "a"},
  {"name": "extra", "on_error": "continue", "max_attempts": 2},
  {"name": "all_of", "dependencies": ["a", "extra"]},
  {"name": "any_of", "dependencies": ["a", "extra"], "join": "any"},
  {"name": "clean", "dependencies": ["a", "extra"], "join": "none", "if": "$status.extra == \"failed\""},
  {"name": "later", "after": ["extra"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '1');
select * into temporary table got from quantumflow.claim_tasks(gen_random_uuid(), 10);

select results_eq(
  $$select outcome, reason, detail from quantumflow.fail_tasks((
    select jsonb_agg(to_jsonb(g) || '{"error_message": "no", "retryable": false}') from got g where step_slug = 'extra'))$$,
  $$values ('failed', 'step_continues', 'no')$$,
  'the task has failed, and the outcome says what that means');
select results_eq(
  $$select step_slug, status, skip_reason, error_message from quantumflow.step_states where step_slug <> 'a' order by 1$$,
  $$values
    ('all_of' collate "C", 'skipped', 'dependency', null), ('any_of', 'started', null, null), ('clean', 'started', null, null),
    ('extra', 'failed', null, 'no'), ('later', 'started', null, null)$$,
  'the step too, and what waits for it looks at its join');
select results_eq(
  'select step_slug, input from quantumflow.claim_tasks(gen_random_uuid(), 10) order by 1',
  $$values ('any_of', '{"run": {}, "a": 1}'::jsonb), ('clean', '{"run": {}, "a": 1}'), ('later', '{"run": {}}')$$,
  'which is handed nothing of it');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', s, output => '0') from unnest('{any_of,clean,later}'::text[]) s;
select results_eq(
  'select status, output, gave_up, error_message from quantumflow.workflow_runs',
  $$values ('completed', '{"any_of": 0, "clean": 0, "later": 0}'::jsonb, 1, null)$$,
  'the run completes, and says that it gave something up');
select is(
  (select input -> 'gave_up' from quantumflow.claim_tasks(gen_random_uuid())), '1', 'on_complete is told');
select results_eq(
  $$select s ->> 'gave_up', (select count(*) from quantumflow.list_runs(gave_up => true)), (select count(*) from quantumflow.list_runs(gave_up => false))
    from quantumflow.status('10000000-0000-0000-0000-000000000001') s$$,
  $$values ('1', 1::bigint, 0::bigint)$$,
  'and so is who looks');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
