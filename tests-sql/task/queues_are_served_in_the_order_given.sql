begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "queue": "slow_queue", "steps": [
  {"name": "slow_1"}, {"name": "slow_2"}, {"name": "fast_1", "queue": "fast_queue"}, {"name": "fast_2", "queue": "fast_queue"}]}');
select quantumflow.setup();
select quantumflow.start_flow('w');

select results_eq(
  'select queue, count(*)::int from quantumflow.step_tasks group by 1 order by 1',
  $$values ('fast_queue', 2), ('slow_queue', 2)$$,
  'each step has the queue it names, or its flow''s');
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'the default queue has nothing');
select results_eq(
  $$select queue from quantumflow.claim_tasks(gen_random_uuid(), 3, '{fast_queue,slow_queue}')$$,
  $$values ('fast_queue'), ('fast_queue'), ('slow_queue')$$,
  'the first queue first, then the next');
select is_empty(
  $$select from quantumflow.claim_tasks(gen_random_uuid(), 3, '{fast_queue}')$$, 'only the queues asked for');
select results_eq(
  $$select queue from quantumflow.claim_tasks(gen_random_uuid(), 3, '{fast_queue,slow_queue}')$$,
  $$values ('slow_queue')$$,
  'the rest');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
