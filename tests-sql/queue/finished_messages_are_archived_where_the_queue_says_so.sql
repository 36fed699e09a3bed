begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "queue": "kept_queue", "steps": [{"name": "a"}, {"name": "b", "queue": "other_queue"}]}');
insert into quantumflow.queues (queue, archive) values ('kept_queue', true);
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'b');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000002');

select is_empty('select from pgmq.q_kept_queue', 'it leaves the queue');
select results_eq(
  $$select right(message ->> 'workflow_run_id', 1), message ->> 'step_name' from pgmq.a_kept_queue order by 1$$,
  $$values ('1', 'a'), ('2', 'a')$$, 'and is in the archive, completed or cancelled');
select is_empty('select from pgmq.q_other_queue', 'from another queue it is deleted');
select is_empty('select from pgmq.a_other_queue', 'without a trace');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
