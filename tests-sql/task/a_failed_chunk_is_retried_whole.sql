begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "max_attempts": 2, "steps": [{"name": "m", "type": "map", "chunk_size": 2}]}');
select quantumflow.start_flow('w', '[1, 2, 3]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'm', 0);
select results_eq(
  $$select task_index, attempt, input ->> 'items' from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 9) order by 1$$,
  $$values (0, 2, '[1, 2]'), (1, 1, '[3]')$$, 'with all its items');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 1, '[3]');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'm', 0);
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  'select task_index, status from quantumflow.step_tasks order by 1',
  $$values (0, 'queued'), (1, 'completed')$$, 'a retry of the run keeps the finished chunks');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0, '[1, 2]');
select is((select output from quantumflow.workflow_runs), '{"m": [1, 2, 3]}', 'and then it is complete');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
