begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [{"name": "m", "type": "map", "tolerate": "50%"}]}');
select quantumflow.start_flow('w', '[1, 2, 3, 4]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'm', 0);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 1);
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  'select task_index, status from quantumflow.step_tasks order by 1', $$values (0, 'queued'), (1, 'completed'), (2, 'queued'), (3, 'queued')$$,
  'without given_up too');
select results_eq('select status, gave_up from quantumflow.workflow_runs', $$values ('started', 0)$$, 'so it is not given up any more');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
