begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["b"]}, {"name": "d"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '1');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'b', error_message => 'no');

set local quantumflow.now = '2030-01-02 00:00:00+00';
select results_eq(
  $$select status, retries, remaining_steps, error_message, failed_at
  from quantumflow.retry_run('10000000-0000-0000-0000-000000000001')$$,
  $$values ('started', 1, 3, null::text, null::timestamptz)$$,
  'the run goes on');
select results_eq(
  $$select step_slug, status, remaining_deps, started_at from quantumflow.step_states order by 1$$,
  $$values
    ('a' collate "C", 'completed', 0, '2030-01-01 00:00:00+00'::timestamptz),
    ('b', 'started', 0, '2030-01-02 00:00:00+00'),
    ('c', 'created', 1, null),
    ('d', 'started', 0, '2030-01-02 00:00:00+00')$$,
  'finished steps stay, the others start anew');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select results_eq(
  $$select step_slug, attempt, input
  from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 10) order by 1$$,
  $$values ('b', 1, '{"run": {}, "a": 1}'::jsonb), ('d', 1, '{"run": {}}')$$,
  'what is claimed sees the kept outputs, and counts its attempts from 1');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', s, output => to_jsonb(s))
from unnest('{b,c,d}'::text[]) s;
select results_eq(
  'select status, output from quantumflow.workflow_runs',
  $$values ('completed', '{"c": "c", "d": "d"}'::jsonb)$$,
  'and it ends as if nothing had happened');
select results_eq(
  'select step_slug, retries, attempt, error_message from quantumflow.task_failures',
  $$values ('b' collate "C", 0, 1, 'no')$$,
  'the history is kept');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken at the end');

select * from finish();
rollback;
