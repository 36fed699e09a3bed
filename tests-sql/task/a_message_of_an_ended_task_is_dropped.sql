begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table kept on commit drop as select * from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'a';
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
insert into pgmq.q_quantum_flow_queue (msg_id, read_ct, enqueued_at, vt, message)
overriding system value select msg_id, read_ct, enqueued_at, vt, message from kept;

select results_eq(
  'select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 10)', $$values ('b')$$, 'it is not handed out');
select results_eq(
  'select message ->> ''step_name'' from pgmq.q_quantum_flow_queue', $$values ('b')$$, 'it is gone');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
