begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('w');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
update quantumflow.workflow_runs set status = 'paused';

select results_eq(
  $$select quantumflow.fail_task(run_id, step_slug, task_index, 'x', lease_token) from claimed where step_slug = 'a'$$,
  $$values ('retrying')$$,
  'a failure');
select results_eq(
  $$select quantumflow.release_tasks(jsonb_agg(to_jsonb(c))) from claimed c where step_slug = 'b'$$, 'values (1)', 'a release');
select results_eq(
  'select t.step_slug, t.status, q.vt
   from quantumflow.step_tasks t join pgmq.q_quantum_flow_queue q on q.msg_id = t.message_id order by 1',
  $$values ('a' collate "C", 'queued', 'infinity'::timestamptz), ('b', 'queued', 'infinity')$$,
  'both wait for the run to be resumed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
