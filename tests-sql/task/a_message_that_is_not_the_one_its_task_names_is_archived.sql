begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
set local client_min_messages = error;
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b", "queue": "other_queue"}]}');
select quantumflow.start_flow('w');
select pgmq.send(queue_name => 'quantum_flow_queue', msg => message, headers => null::jsonb, delay => '2029-01-01 00:00:00+00'::timestamptz)
from pgmq.q_quantum_flow_queue;
select pgmq.send(queue_name => 'quantum_flow_queue', msg => message, headers => null::jsonb, delay => '2029-01-01 00:00:00+00'::timestamptz)
from pgmq.q_other_queue;

select results_eq(
  'select t.step_slug, c.message_id = t.message_id
   from quantumflow.claim_tasks(gen_random_uuid(), 10) c join quantumflow.step_tasks t using (run_id, step_slug)',
  $$values ('a' collate "C", true)$$,
  'a copy, or a message in the wrong queue, gives nobody the task');
select is((select count(*)::int from pgmq.a_quantum_flow_queue), 1, 'the copy is archived');
select * from quantumflow.sweep();
select is((select count(*)::int from pgmq.a_quantum_flow_queue), 2, 'what is in the wrong queue by a sweep');
select results_eq(
  'select step_slug, status from quantumflow.step_tasks order by 1',
  $$values ('a' collate "C", 'started'), ('b', 'queued')$$,
  'and the task of the other queue still waits there');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
