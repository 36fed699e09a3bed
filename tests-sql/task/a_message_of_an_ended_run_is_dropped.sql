begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
-- As it is when somebody held the first run's task while the run was stopped, and nobody has come to its end yet.
update quantumflow.workflow_runs set status = 'cancelled', cancelled_at = quantumflow._now() where right(id::text, 1) = '1';
update quantumflow.step_states set status = 'cancelled' where right(run_id::text, 1) = '1';

select results_eq(
  'select right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 10)', $$values ('2')$$,
  'it is not handed out');
select results_eq(
  'select right(run_id::text, 1), status from quantumflow.step_tasks order by 1',
  $$values ('1', 'cancelled'), ('2', 'started')$$,
  'its task is cancelled');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'its message is gone');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
