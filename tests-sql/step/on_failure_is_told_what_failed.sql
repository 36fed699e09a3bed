begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 2, "retry_delay": 0, "timeout": 10, "on_failure": "sorry", "steps": [
  {"name": "m", "type": "map"}]}');

create function pg_temp.told(run uuid) returns jsonb language sql as $$
  select input from quantumflow.claim_tasks(gen_random_uuid(), 10) where step_slug = '_on_failure' and run_id = told.run
$$;

select quantumflow.start_flow('w', '[7, 8]', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select quantumflow.fail_tasks((select jsonb_agg(to_jsonb(c) || '{"error_message": "no"}') from claimed c where task_index = 1));
select quantumflow.fail_tasks((
  select jsonb_agg(to_jsonb(c) || '{"error_message": "never"}') from quantumflow.claim_tasks(gen_random_uuid(), 10) c));
select is(
  pg_temp.told('10000000-0000-0000-0000-000000000001'),
  '{"run": [7, 8], "error": "step m, task 1: never",
    "failure": {"message": "never", "step_slug": "m", "task_index": 1, "attempt": 2, "kind": "error"}}',
  'the task, its attempt and its kind, beside the text');

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 10);
set local quantumflow.now = '2030-01-01 00:01:00+00';
select quantumflow.sweep();
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 10);
set local quantumflow.now = '2030-01-01 00:02:00+00';
select quantumflow.sweep();
select is(
  pg_temp.told('10000000-0000-0000-0000-000000000001') -> 'failure',
  '{"message": "timed out after 00:00:10", "step_slug": "m", "task_index": 0, "attempt": 2, "kind": "timeout"}',
  'that of the last retry, the first task of those that failed together');

-- Where no attempt failed.
select quantumflow.start_flow('w', '[7]', run_id => '10000000-0000-0000-0000-000000000002');
update quantumflow.step_states set status = 'failed', failed_at = quantumflow._now(), error_message = 'too large'
where run_id = '10000000-0000-0000-0000-000000000002';
select quantumflow._fail_run('10000000-0000-0000-0000-000000000002', 'step m: too large', quantumflow._now());
select is(
  pg_temp.told('10000000-0000-0000-0000-000000000002') -> 'failure',
  '{"message": "too large", "step_slug": "m", "task_index": null, "attempt": null, "kind": "error"}', 'a step without a failed task');
select quantumflow.start_flow('w', '[7]', run_id => '10000000-0000-0000-0000-000000000003');
select quantumflow._fail_run('10000000-0000-0000-0000-000000000003', 'too large', quantumflow._now());
select is(
  pg_temp.told('10000000-0000-0000-0000-000000000003') -> 'failure',
  '{"message": "too large", "step_slug": null, "task_index": null, "attempt": null, "kind": "error"}', 'a run without a failed step');
select is(
  (select count(*)::int from quantumflow.step_tasks where step_slug = '_on_failure'), 4, 'each run was told of, and the first twice');

select * from finish();
rollback;
