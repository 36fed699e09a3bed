begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_lost": 1, "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[0, 1, 2, 3]', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 2, lease => '10 s');
select quantumflow.start_flow('w', '[0]', run_id => '10000000-0000-0000-0000-000000000002');
set local quantumflow.now = '2030-01-01 00:00:10+00';

select results_eq(
  'select right(run_id::text, 1), task_index from quantumflow.claim_tasks(gen_random_uuid(), 10)', $$values ('2', 0)$$,
  'only another run''s task is handed out');
select results_eq(
  'select right(run_id::text, 1), task_index, status from quantumflow.step_tasks order by 1, 2',
  $$values ('1', 0, 'failed'), ('1', 1, 'cancelled'), ('1', 2, 'cancelled'), ('1', 3, 'cancelled'), ('2', 0, 'started')$$,
  'what is left of the run is cancelled');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'no message of it is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
