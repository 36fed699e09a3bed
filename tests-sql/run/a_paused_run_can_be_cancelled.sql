begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
update quantumflow.workflow_runs set status = 'paused';
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');

select results_eq(
  'select r.status, s.status, t.status
   from quantumflow.workflow_runs r, quantumflow.step_states s, quantumflow.step_tasks t',
  $$values ('cancelled', 'cancelled', 'cancelled')$$,
  'all of it');
select is_empty('select from pgmq.q_quantum_flow_queue', 'its message is gone');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
