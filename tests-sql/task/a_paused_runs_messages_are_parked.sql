begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
update quantumflow.workflow_runs set status = 'paused' where right(id::text, 1) = '1';

select results_eq(
  'select right(run_id::text, 1) from quantumflow.claim_tasks(gen_random_uuid(), 10)', $$values ('2')$$,
  'a paused run''s task is not handed out');
select results_eq(
  'select t.status, t.attempts, q.vt = ''infinity''
   from quantumflow.step_tasks t join pgmq.q_quantum_flow_queue q on q.msg_id = t.message_id order by t.run_id',
  $$values ('queued', 0, true), ('started', 1, false)$$,
  'its message is parked far ahead');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
