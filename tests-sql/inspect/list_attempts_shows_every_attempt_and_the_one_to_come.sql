begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow(
  '{"slug": "w", "retry_delay": 0, "timeout": 600, "max_attempts": 2, "on_failure": "tell", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'mine', '{a,b}', '{quantum_flow_queue}');

-- Ten seconds in the queue, five at work; then a lease that runs out; then it is done.
set local quantumflow.now = '2030-01-01 00:00:10+00';
create temporary table got as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', lease => '30 s');
set local quantumflow.now = '2030-01-01 00:00:15+00';
select quantumflow.fail_tasks((select jsonb_agg(to_jsonb(g) || '{"error_message": "oh no", "seconds": 4}') from got g));

select results_eq(
  $$select attempt, due_at - '2030-01-01 00:00:00+00', began_at, outcome, error_message
    from quantumflow.list_attempts('10000000-0000-0000-0000-000000000001') where outcome = 'queued'$$,
  $$values (2, interval '15 s', null::timestamptz, 'queued', 'oh no')$$,
  'the attempt that it waits for');

set local quantumflow.now = '2030-01-01 00:02:00+00';
select from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', lease => '30 s');
select results_eq(
  $$select attempt, outcome, worker, ended_at from quantumflow.list_attempts('10000000-0000-0000-0000-000000000001') where outcome = 'started'$$,
  $$values (2, 'started', 'b0000000-0000-0000-0000-00000000000b', null::timestamptz)$$,
  'the one that goes on, by a worker that is not registered');

set local quantumflow.now = '2030-01-01 00:03:00+00';
select quantumflow.sweep();
create temporary table again as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', lease => '30 s');
set local quantumflow.now = '2030-01-01 00:03:05+00';
select quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}') from again g));

select results_eq(
  $$select task_index, retries, attempt, due_at - '2030-01-01 00:00:00+00', began_at - due_at, ended_at - began_at, outcome, kind, worker
    from quantumflow.list_attempts('10000000-0000-0000-0000-000000000001', 'a')$$,
  $$values
    (0, 0, 1, interval '0 s', interval '11 s', interval '4 s', 'failed', 'error', 'mine'),
    (0, 0, 2, interval '15 s', interval '105 s', interval '60 s', 'failed', 'lost', 'b0000000-0000-0000-0000-00000000000b'),
    (0, 0, 3, interval '180 s', interval '0 s', interval '5 s', 'completed', null, 'mine')$$,
  'all of a step''s, in order, with how long each waited and worked');

-- The step b fails for good; the retry undoes a, and both run again.
set local quantumflow.now = '2030-01-01 01:00:00+00';
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'b', 0, 'no', retryable => false);
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', from_step => 'a');
set local quantumflow.now = '2030-01-01 02:00:00+00';
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', 0, '2');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');

select results_eq(
  $$select step_slug, retries, attempt, outcome, worker
    from quantumflow.list_attempts('10000000-0000-0000-0000-000000000001') where due_at >= '2030-01-01 01:00:00+00' or retries > 0 or outcome = 'undone' order by step_slug, retries$$,
  $$values
    ('a', 0, 3, 'undone', 'mine'),
    ('a', 1, 0, 'completed', null::text)$$,
  'what a retry undid, and what a person completed; no attempt of what was never claimed');

select is(
  (select count(*)::int from quantumflow.list_attempts('10000000-0000-0000-0000-000000000001', '_on_failure')), 0,
  'a callback that was cancelled before anybody had it');
select throws_ok(
  $$select quantumflow.list_attempts('10000000-0000-0000-0000-000000000001', 'c')$$, 'QF307', null, 'no such step');
select throws_ok($$select quantumflow.list_attempts(gen_random_uuid())$$, 'QF201', null, 'no such run');

select * from finish();
rollback;
