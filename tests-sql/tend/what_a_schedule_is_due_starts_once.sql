begin;
select plan(20);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');

select results_eq(
  $$select schedule_slug, workflow_slug, time_zone, overlap, catch_up, jitter, due_at, next_at
    from quantumflow.schedule_flow('nightly', 'w', '30 2 * * *', 'Europe/Berlin', '{"x": 1}', priority => 5)$$,
  $$values ('nightly' collate "C", 'w' collate "C", 'Europe/Berlin', 'skip', 1, interval '0',
    '2030-01-01 01:30:00+00'::timestamptz, '2030-01-01 01:30:00+00'::timestamptz)$$,
  'a schedule has its next time');
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 0, 'nothing starts before it');

set local quantumflow.now = '2030-01-01 01:30:01+00';
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 1, 'the first sweep starts the run');
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 0, 'the next one does not');
select results_eq(
  $$select version, input, priority, status, idempotency_key, headers, created_at from quantumflow.workflow_runs$$,
  $$values (1, '{"x": 1}'::jsonb, 5, 'started', '_schedule:nightly@2030-01-01T01:30:00Z',
    '{"schedule": "nightly", "scheduled_at": "2030-01-01T01:30:00Z"}'::jsonb, '2030-01-01 01:30:01+00'::timestamptz)$$,
  'with its input, and the time that it is for');
select results_eq(
  $$select s.next_at, s.last_at, s.last_run_id = r.id, s.last_status, s.missed, s.skipped, s.problem
    from quantumflow.list_schedules('w') s cross join quantumflow.workflow_runs r$$,
  $$values ('2030-01-02 01:30:00+00'::timestamptz, '2030-01-01 01:30:00+00'::timestamptz, true, 'started', 0::bigint, 0::bigint, null)$$,
  'the list says so');
select is_empty($$select from quantumflow.list_schedules('x')$$, 'other workflows have none');
select is(
  (select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 10) c where c.headers ->> 'schedule' = 'nightly'), 1::bigint,
  'the task can be claimed, and knows its schedule');

-- The row lock is the first fence, the key the second.
update quantumflow.schedules set due_at = last_at, next_at = last_at, last_run_id = null;
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 1, 'a time that is due again');
select is((select count(*) from quantumflow.workflow_runs), 1::bigint, 'is the run that it started');
select is((select last_run_id from quantumflow.schedules), (select id from quantumflow.workflow_runs), 'which it finds again');

-- The version is the one that is current.
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "b"}]}');
select quantumflow.cancel_run(id) from quantumflow.workflow_runs;
set local quantumflow.now = '2030-01-02 01:30:00+00';
select is((select tasks from quantumflow.sweep() where action = 'schedules'), 1, 'the next day');
select is((select max(version) from quantumflow.workflow_runs), 2, 'the version that is current by then');

select throws_ok(
  $$select quantumflow.delete_flow('w')$$, 'QF113', 'workflow "w" has runs', 'a workflow with runs is not deleted');
select quantumflow.cancel_run(id) from quantumflow.workflow_runs where status = 'started';
select quantumflow.delete_run(id) from quantumflow.workflow_runs;
select throws_ok(
  $$select quantumflow.delete_flow('w')$$, 'QF113', 'workflow "w" has schedules', 'nor one with schedules');
select is((select last_status from quantumflow.list_schedules()), null, 'a run that is gone has no status');
select is((quantumflow.unschedule_flow('nightly')).schedule_slug, 'nightly' collate "C", 'a schedule can be removed');
select throws_ok(
  $$select quantumflow.unschedule_flow('nightly')$$, 'QF223', 'schedule "nightly" does not exist', 'once');
select ok(quantumflow.delete_flow('w'), 'then the workflow, too');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
