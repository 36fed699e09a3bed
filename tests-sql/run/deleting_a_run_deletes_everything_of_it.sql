begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', idempotency_key => 'k');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'a');

select results_eq(
  $$select id, status from quantumflow.delete_run('10000000-0000-0000-0000-000000000001')$$,
  $$values ('10000000-0000-0000-0000-000000000001'::uuid, 'failed')$$,
  'it says what was deleted');
select results_eq(
  $$select
    (select count(*) from quantumflow.workflow_runs), (select count(*) from quantumflow.step_states),
    (select count(*) from quantumflow.step_tasks), (select count(*) from quantumflow.task_failures)$$,
  'values (1::bigint, 2::bigint, 2::bigint, 0::bigint)',
  'the other run has all of its rows, this one none');
select isnt(
  quantumflow.start_flow('w', idempotency_key => 'k'), '10000000-0000-0000-0000-000000000001',
  'its idempotency key is free');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
