begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[1, 2]', run_id => '10000000-0000-0000-0000-000000000001');
update quantumflow.step_tasks set status = 'completed', output = '0', completed_at = now();
update quantumflow.step_states set status = 'failed', remaining_tasks = 0, failed_at = now();
update quantumflow.workflow_runs set status = 'failed', failed_at = now();
select pgmq.purge_queue('quantum_flow_queue');

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');

select is((select count(*) from quantumflow.step_tasks where status = 'queued'), 2::bigint, 'both tasks');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
