begin;
select plan(2);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_lost": 1, "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[0, 1]', run_id => '10000000-0000-0000-0000-000000000001');
-- The lost task first, then its neighbour, then two of another run.
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 1, lease => '10 s');
update pgmq.q_quantum_flow_queue set vt = '2030-01-01 00:00:05+00' where message ->> 'task_index' = '0';
update pgmq.q_quantum_flow_queue set vt = '2030-01-01 00:00:06+00' where message ->> 'task_index' = '1';
set local quantumflow.now = '2030-01-01 00:00:10+00';
select quantumflow.start_flow('w', '[0, 1]', run_id => '10000000-0000-0000-0000-000000000002');

select results_eq(
  'select right(run_id::text, 1), task_index from quantumflow.claim_tasks(gen_random_uuid(), 2)', $$values ('2', 0), ('2', 1)$$,
  'two tasks, though a task of the ended run was read with the lost one');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
