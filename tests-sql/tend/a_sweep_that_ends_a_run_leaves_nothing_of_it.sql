begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_lost": 2, "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[0, 1, 2]', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 1, lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select * from quantumflow.sweep();
-- The one lost before goes out alone, then the two others.
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 5, lease => '10 s');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 5, lease => '10 s');
select results_eq(
  'select task_index, status, losses from quantumflow.step_tasks order by 1',
  $$values (0, 'started', 1), (1, 'started', 0), (2, 'started', 0)$$, 'all three are claimed');
set local quantumflow.now = '2030-01-01 00:00:20+00';

select * from quantumflow.sweep();
select is((select status from quantumflow.workflow_runs), 'failed', 'one of them ends the run');
select is((select status from quantumflow.step_tasks where task_index = 0), 'failed', 'the one that was lost twice');
select is_empty('select from quantumflow.step_tasks where status in (''queued'', ''started'')', 'the others do not live on');
select results_eq(
  'select task_index, attempt, kind from quantumflow.task_failures order by 1, 2', $$values (0, 1, 'lost'), (0, 2, 'lost')$$,
  'nor are they on record as lost');
select is_empty('select from pgmq.q_quantum_flow_queue', 'no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
