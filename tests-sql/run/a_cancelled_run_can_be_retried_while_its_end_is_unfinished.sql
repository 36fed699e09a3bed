begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
-- As a cancel leaves it that found the task and the step held by others.
update quantumflow.workflow_runs set status = 'cancelled', cancelled_at = now();
insert into quantumflow._unfinished_ends values ('10000000-0000-0000-0000-000000000001', now());

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');

select is_empty('select from quantumflow._unfinished_ends', 'nothing will end it');
select is((select count(*) from pgmq.q_quantum_flow_queue), 1::bigint, 'its task has one message');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
