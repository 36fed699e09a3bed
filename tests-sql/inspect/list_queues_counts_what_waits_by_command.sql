begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 600, "retry_delay": 300, "steps": [
  {"name": "a"}, {"name": "later", "start_delay": 3600}, {"name": "far", "queue": "elsewhere"}]}');
select is_empty('select * from quantumflow.list_queues()', 'nothing where there is nothing');

select quantumflow.start_flow('w', run_id => gen_random_uuid(), priority => 1000) from generate_series(1, 5);
-- pgmq has a clock of its own.
update pgmq.q_quantum_flow_queue set enqueued_at = quantumflow._now();
update pgmq.q_elsewhere set enqueued_at = quantumflow._now();
select quantumflow.register_worker(gen_random_uuid(), 'b', '{b,a}', '{quantum_flow_queue,elsewhere}', slots => 4, running => 1);
select quantumflow.register_worker(gen_random_uuid(), 'c', null, '{quantum_flow_queue}', slots => 2, running => 2);
set local quantumflow.now = '2030-01-01 00:00:30+00';
create temporary table got as
select * from quantumflow.claim_tasks(gen_random_uuid(), 3, commands => '{a}');
select quantumflow.fail_tasks((select jsonb_agg(to_jsonb(g) || '{"error_message": "503"}') from (select * from got limit 1) g));

select results_eq(
  'select queue, command, due, later, retrying, running, oldest_due, workers, free_slots from quantumflow.list_queues()',
  $$values
    ('elsewhere', 'far', 5::bigint, 0::bigint, 0::bigint, 0::bigint, interval '30 s', 0, null::int),
    ('quantum_flow_queue', 'a', 2, 0, 1, 2, interval '30 s', 2, 3),
    ('quantum_flow_queue', 'later', 0, 5, 0, 0, null, 1, 0)$$,
  'due, later, retrying and running apart, whatever their priority');

select quantumflow.pause_run(id) from quantumflow.workflow_runs;
select results_eq(
  $$select due, later, retrying, running from quantumflow.list_queues() where command in ('a', 'far')$$,
  $$values (0::bigint, 5::bigint, 0::bigint, 0::bigint), (0, 3, 0, 2)$$,
  'what a pause keeps is for later');

select quantumflow.cancel_run(id) from quantumflow.workflow_runs;
select results_eq(
  'select queue, command, due, workers from quantumflow.list_queues()',
  $$values ('quantum_flow_queue', 'a', 0::bigint, 2)$$,
  'a command that workers named is there while they are');

select * from finish();
rollback;
