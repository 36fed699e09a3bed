begin;
select plan(11);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 10, "max_attempts": 2, "retry_delay": 0, "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "late", "queue": "late", "timeout": 10, "max_attempts": 1, "steps": [{"name": "a"}]}');

create temporary table claimed (like quantumflow.claimed_task) on commit drop;
create function pg_temp.failed(attempt int, more jsonb) returns text language sql as $$
  select o.outcome
  from quantumflow.fail_tasks((
    select jsonb_agg(to_jsonb(c) || more) from pg_temp.claimed c where c.workflow_slug = 'w' and c.attempt = failed.attempt)) o
$$;

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
insert into claimed select * from quantumflow.claim_tasks(gen_random_uuid());
set local quantumflow.now = '2030-01-01 00:00:09.999999+00';
select is(pg_temp.failed(1, '{"error_message": "no"}'), 'retrying', 'before its deadline');
insert into claimed select * from quantumflow.claim_tasks(gen_random_uuid());
set local quantumflow.now = '2030-01-01 00:00:19.999999+00';
select is(pg_temp.failed(2, '{"error_message": "CancelledError: its deadline passed"}'), 'failed', 'at its deadline');
select results_eq(
  'select attempt, kind, reported, error_message from quantumflow.task_failures order by 1',
  $$values
    (1, 'error', true, 'no'),
    (2, 'timeout', true, 'timed out after 00:00:10: CancelledError: its deadline passed')$$,
  'the deadline decides what each is');
select is(
  (select error_message from quantumflow.workflow_runs), 'step a: timed out after 00:00:10: CancelledError: its deadline passed',
  'the run says the same');
select is(pg_temp.failed(2, '{}'), 'duplicate', 'the report again is a duplicate');
select is(pg_temp.failed(1, '{}'), 'duplicate', 'that of the first attempt too');

-- By hand.
set local quantumflow.now = '2030-01-01 01:00:00+00';
select quantumflow.start_flow('late', run_id => '10000000-0000-0000-0000-000000000002');
insert into claimed select * from quantumflow.claim_tasks(gen_random_uuid(), queues => '{late}');
set local quantumflow.now = '2030-01-01 02:00:00+00';
select is(quantumflow.fail_task('10000000-0000-0000-0000-000000000002', 'a'), 'failed', 'a person notices');
select results_eq(
  $$select kind, reported, error_message from quantumflow.task_failures where run_id = '10000000-0000-0000-0000-000000000002'$$,
  $$values ('timeout', true, 'timed out after 00:00:10')$$, 'that is a timeout, too');

-- By its lease.
select quantumflow.start_flow('late', run_id => '10000000-0000-0000-0000-000000000003');
insert into claimed select * from quantumflow.claim_tasks(gen_random_uuid(), queues => '{late}');
set local quantumflow.now = '2030-01-01 03:00:00+00';
select quantumflow.sweep();
select results_eq(
  $$select kind, reported, due_at, error_message from quantumflow.task_failures where run_id = '10000000-0000-0000-0000-000000000003'$$,
  $$values ('timeout', false, '2030-01-01 02:00:00+00'::timestamptz, 'timed out after 00:00:10')$$, 'and so is a lease that lasted as long');
select results_eq(
  $$select outcome from quantumflow.fail_tasks((
      select jsonb_agg(to_jsonb(c)) from claimed c where c.run_id = '10000000-0000-0000-0000-000000000003'))$$,
  $$values ('stale')$$, 'whose report comes too late');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
