begin;
select plan(2);

select lives_ok(
  $$
  select quantumflow.define_flow('{
    "slug": "order", "queue": "test_flow_queue", "on_complete": "tell",
    "steps": [{"name": "a", "queue": "test_a"}, {"name": "b", "queue": "test_b"}, {"name": "c", "queue": "test_a"}]
  }');
  select quantumflow.define_flow('{"slug": "other", "steps": [{"name": "a", "queue": "test_a"}]}')
  $$,
  'two flows share a queue');

select results_eq(
  $$select q.queue_name::text from pgmq.list_queues() q where q.queue_name like 'test\_%' order by 1$$,
  $$values ('test_a'), ('test_b'), ('test_flow_queue')$$,
  'each queue of a step or a callback is there');

select * from finish();
rollback;
