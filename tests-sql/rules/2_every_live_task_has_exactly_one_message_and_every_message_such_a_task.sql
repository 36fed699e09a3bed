begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "steps": [
  {"name": "l"}, {"name": "m", "type": "map", "dependencies": ["l"]}, {"name": "q", "queue": "q_two"}]}');
create temporary view problems as
select t.run_id, t.step_slug, t.task_index, t.status, m.queue, m.msg_id
from (select * from quantumflow.step_tasks where status in ('queued', 'started')) t
full join (
  select 'quantum_flow_queue' as queue, msg_id, message from pgmq.q_quantum_flow_queue
  union all
  select 'q_two', msg_id, message from pgmq.q_q_two
) m
  on (m.queue, m.msg_id, m.message ->> 'workflow_run_id', m.message ->> 'step_name', m.message ->> 'task_index')
    = (t.queue, t.message_id, t.run_id::text, t.step_slug, t.task_index::text)
where t.run_id is null or m.msg_id is null;

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select is_empty('table problems', 'after the start');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', output => '[1, 2, 3]');
select is_empty('table problems', 'after a completion');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 2, lease => '5 s');
select is_empty('table problems', 'after a claim');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'm', 0);
select is_empty('table problems', 'after a failure');
set local quantumflow.now = '2030-01-01 00:00:05+00';
select * from quantumflow.sweep();
select is_empty('table problems', 'after a loss');
select quantumflow.release_tasks(jsonb_agg(to_jsonb(c))) from quantumflow.claim_tasks(gen_random_uuid(), 9, '{q_two,quantum_flow_queue}') c;
select is_empty('table problems', 'after a release');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select is_empty('table problems', 'after a cancellation');
select is_empty('select from pgmq.q_quantum_flow_queue', 'when there is none left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
