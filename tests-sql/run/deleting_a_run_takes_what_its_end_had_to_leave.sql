begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');

-- As when somebody held the task at the moment the run ended.
update quantumflow.workflow_runs
set status = 'cancelled', cancelled_at = now()
where id = '10000000-0000-0000-0000-000000000001';
insert into quantumflow._unfinished_ends values ('10000000-0000-0000-0000-000000000001', now());

select lives_ok($$select quantumflow.delete_run('10000000-0000-0000-0000-000000000001')$$, 'it can be deleted');
select is_empty('select from quantumflow._unfinished_ends', 'nothing is left to finish');
select results_eq(
  $$select message ->> 'workflow_run_id' from pgmq.q_quantum_flow_queue$$,
  $$values ('10000000-0000-0000-0000-000000000002')$$, 'its task''s message is gone');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
