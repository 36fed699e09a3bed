begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "done", "on_failure": "failed", "steps": [
  {"name": "first"}, {"name": "queued"}, {"name": "started"}, {"name": "later", "dependencies": ["first", "queued"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'first');
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select quantumflow.release_tasks(
  jsonb_agg(to_jsonb(c))) from claimed c where c.step_slug = 'queued' or right(c.run_id::text, 1) = '2';

set local quantumflow.now = '2030-01-01 00:00:09+00';
select results_eq(
  $$select r.id, r.status, r.cancelled_at, r.error_message
    from quantumflow.cancel_run('10000000-0000-0000-0000-000000000001', 'not wanted') r$$,
  $$values (
    '10000000-0000-0000-0000-000000000001'::uuid, 'cancelled', '2030-01-01 00:00:09+00'::timestamptz, 'not wanted')$$,
  'the run as it is now is returned');
select results_eq(
  $$select step_slug, status from quantumflow.step_states where right(run_id::text, 1) = '1' order by 1$$,
  $$values ('first' collate "C", 'completed'), ('later', 'cancelled'), ('queued', 'cancelled'), ('started', 'cancelled')$$,
  'its steps are cancelled, but for those that were done');
select results_eq(
  $$select step_slug, status from quantumflow.step_tasks where right(run_id::text, 1) = '1' order by 1$$,
  $$values ('first' collate "C", 'completed'), ('queued', 'cancelled'), ('started', 'cancelled')$$,
  'its tasks too, and no callback is made');
select results_eq(
  $$select distinct right(message ->> 'workflow_run_id', 1) from pgmq.q_quantum_flow_queue$$,
  $$values ('2')$$,
  'its messages are gone, another run''s are not');

select results_eq(
  $$select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token)
    from claimed where step_slug = 'started' and right(run_id::text, 1) = '1'$$,
  $$values ('run_ended')$$,
  'a late result is told that the run has ended');
select results_eq(
  $$select quantumflow.fail_task(run_id, step_slug, task_index, 'x', lease_token)
    from claimed where step_slug = 'started' and right(run_id::text, 1) = '1'$$,
  $$values ('run_ended')$$,
  'and so is a late failure');
select is(
  (select count(*)::int from quantumflow.step_tasks where right(run_id::text, 1) = '1' and output is not null), 1,
  'nothing was recorded');
select is_empty('select from quantumflow.task_failures', 'no failure either');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
