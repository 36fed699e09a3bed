begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "later", "start_delay": 99}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
update quantumflow.workflow_runs set status = 'cancelled', cancelled_at = quantumflow._now();
insert into quantumflow._unfinished_ends values ('10000000-0000-0000-0000-000000000001', quantumflow._now());

select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'nothing of the run is handed out');
select results_eq(
  'select status, count(*)::int from quantumflow.step_tasks group by 1', $$values ('cancelled', 2)$$, 'all its tasks are cancelled');
select is((select count(*)::int from quantumflow.step_states where status = 'cancelled'), 2, 'and its steps');
select is_empty('select from pgmq.q_quantum_flow_queue', 'its messages are gone, the invisible one, too');
select is_empty('select from quantumflow._unfinished_ends', 'and the end is finished');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
