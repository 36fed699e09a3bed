begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 100, "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[0, 1]', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 2, lease => '1 hour');
select is_empty('select * from quantumflow.check_state()', 'a lease may last until the deadline');

update pgmq.q_quantum_flow_queue set vt = '2031-03-12 00:00:00+00' where msg_id = (select min(msg_id) from pgmq.q_quantum_flow_queue);
select results_eq(
  'select rule, step_slug, task_index, problem, remedy from quantumflow.check_state()',
  $$values (2, 'm', 0, 'the task is started and its lease ends 434 days 23:58:20 after its deadline', 'end its lease at its deadline')$$,
  'longer is not');

select results_eq('select task_index, action from quantumflow.repair(dry_run => false)',
  $$values (0, 'done: end its lease at its deadline')$$, 'repair ends it there');
select results_eq(
  'select vt from pgmq.q_quantum_flow_queue order by msg_id',
  $$values ('2030-01-01 00:01:40+00'::timestamptz), ('2030-01-01 00:01:40+00')$$, 'so that it times out');

-- What is put aside because somebody holds it comes back a moment later.
set local quantumflow.now = '2030-01-01 00:02:00+00';
update pgmq.q_quantum_flow_queue set vt = '2030-01-01 00:02:00.1+00';
select is_empty('select * from quantumflow.check_state()', 'a moment is no problem');

select * from finish();
rollback;
