begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [
  {"name": "c", "on_error": "continue"}, {"name": "x", "dependencies": ["c"]},
  {"name": "g", "if": "$.run.n > 0"}, {"name": "h"}]}');
select quantumflow.start_flow('w', '{"n": 1}', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'c');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'h', error_message => 'h is down');
select results_eq('select status, gave_up from quantumflow.workflow_runs', $$values ('failed', 1)$$, 'it gave up one step, and then failed with another');
select results_eq(
  $$select step_slug from quantumflow.retry_preview('10000000-0000-0000-0000-000000000001')$$, $$values ('g'), ('h')$$, 'a retry runs what did not end');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', s) from unnest('{g,h}'::text[]) s;
select results_eq('select status, gave_up, retries from quantumflow.workflow_runs', $$values ('completed', 1, 1)$$, 'and says what is still missing');
select results_eq(
  'select step_slug, status from quantumflow.step_states order by 1',
  $$values ('c' collate "C", 'failed'), ('g', 'completed'), ('h', 'completed'), ('x', 'skipped')$$, 'step by step');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
