begin;
select plan(9);

-- What is left of a queue's tasks when somebody dropped it can still be reported, kept and ended.
select quantumflow.define_flow('{"slug": "w", "max_attempts": 5, "steps": [
  {"name": "a", "queue": "lost"}, {"name": "b", "queue": "lost"}, {"name": "c", "queue": "lost"}, {"name": "d", "queue": "lost"}]}');
select quantumflow.start_flow('w', run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(1, 2) n;
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 4, '{lost}');
select pgmq.drop_queue('lost');

select results_eq(
  $$select state from quantumflow.extend_leases(
      'a0000000-0000-0000-0000-00000000000a', (select jsonb_agg(to_jsonb(c)) from claimed c where step_slug = 'a'), '60 s')$$,
  $$values ('held')$$, 'a lease is held');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from claimed where step_slug = 'a'),
  'completed', 'an output is taken');
select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'no', lease_token) from claimed where step_slug = 'b'),
  'retrying', 'a failure is taken');
select is(
  quantumflow.release_tasks((select jsonb_agg(to_jsonb(c)) from claimed c where step_slug = 'c')), 1, 'a task is handed back');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), queues => '{lost}')$$, 'QF401', 'queue "lost" does not exist', 'a claim is told');
select lives_ok('select * from quantumflow.sweep()', 'a sweep passes it over');
select is((quantumflow.cancel_run('10000000-0000-0000-0000-000000000001')).status, 'cancelled', 'a run is cancelled');
select is(
  quantumflow.fail_task('10000000-0000-0000-0000-000000000002', 'a', 0, 'no', retryable => false), 'failed', 'a run fails');
select is_empty('select * from quantumflow.check_state()', 'and nothing is left of either');

select * from finish();
rollback;
