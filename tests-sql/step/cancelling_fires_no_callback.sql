begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "cheer", "on_failure": "mourn", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');

select results_eq('select step_slug, status from quantumflow.step_tasks', $$values ('a' collate "C", 'cancelled')$$, 'no task is made');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
