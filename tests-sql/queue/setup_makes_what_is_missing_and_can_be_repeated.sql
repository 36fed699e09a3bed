begin;
select plan(6);

select quantumflow.define_flow('{"slug": "w", "queue": "flow_queue", "steps": [{"name": "a"}, {"name": "b", "queue": "step_queue"}]}');
insert into quantumflow.queues (queue) values ('setting_queue');

select is(quantumflow.setup(), 'ready; created quantum_flow_queue, setting_queue', 'what definitions have not made');
select is(quantumflow.setup(), 'ready', 'a second time there is nothing to do');
select pgmq.drop_queue('step_queue');
select is(quantumflow.setup(), 'ready; created step_queue', 'a dropped queue is made again');
select set_eq(
  'select queue_name::text from pgmq.meta',
  array['flow_queue', 'quantum_flow_queue', 'setting_queue', 'step_queue'], 'pgmq knows them all');
select quantumflow.start_flow('w');
select results_eq(
  $$select queue from quantumflow.claim_tasks(gen_random_uuid(), 9, '{flow_queue,step_queue}') order by 1$$,
  $$values ('flow_queue'), ('step_queue')$$, 'and they work');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
