begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 10, "steps": [
  {"name": "queued"}, {"name": "started"}, {"name": "failing"}, {"name": "failing_started"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', commands => '{started,failing_started}', quantity => 10);

select is(
  quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'queued', output => '1'), 'completed', 'a queued task');
select is(
  quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'started', output => '2'), 'completed', 'a started task');
select is(
  quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'failing', error_message => 'x'), 'retrying', 'a failure of a queued one');
select is(
  quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'failing_started', error_message => 'y'), 'retrying', 'and of a started one');

select results_eq(
  'select step_slug, status, attempts, output, started_at is not null from quantumflow.step_tasks order by 1',
  $$values
    ('failing' collate "C", 'queued', 1, null::jsonb, false), ('failing_started', 'queued', 1, null, true),
    ('queued', 'completed', 0, '1', true), ('started', 'completed', 1, '2', true)$$,
  'failing a queued task counts as an attempt');
select results_eq(
  'select step_slug, attempt, kind, worker_id, error_message from quantumflow.task_failures order by 1',
  $$values
    ('failing' collate "C", 1, 'error', null::uuid, 'x'),
    ('failing_started', 1, 'error', 'a0000000-0000-0000-0000-00000000000a', 'y')$$,
  'with the worker that had it, if any');
select is(
  (select count(*)::int from pgmq.q_quantum_flow_queue where vt >= '2030-01-01 00:00:10+00'), 2, 'both wait for their delay');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
