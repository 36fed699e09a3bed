begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_lost": 1, "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[0, 1]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '[0]', run_id => '10000000-0000-0000-0000-000000000002');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 1, lease => '10 s');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000002');
-- First a task that can be had, then one that is parked, then the lost one: a claim of two reads that in a second round.
update pgmq.q_quantum_flow_queue set vt = case
  when message ->> 'task_index' = '1' then timestamptz '2030-01-01 00:00:01+00'
  when message ->> 'workflow_run_id' like '%2' then '2030-01-01 00:00:02+00'
  else '2030-01-01 00:00:03+00'
end;
set local quantumflow.now = '2030-01-01 00:00:10+00';

select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid(), 2)', 'it has been cancelled meanwhile');
select results_eq(
  $$select task_index, status from quantumflow.step_tasks where run_id::text like '%1' order by 1$$,
  $$values (0, 'failed'), (1, 'cancelled')$$,
  'with its run');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
