begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000002', 'a');

select results_eq('select status from quantumflow.workflow_runs order by id', $$values ('completed'), ('failed')$$, 'both have ended');
select is((select count(*)::int from quantumflow.step_tasks), 2, 'no further task');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
