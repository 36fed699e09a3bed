begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "completes"}, {"name": "fails"}, {"name": "released"}, {"name": "next", "dependencies": ["completes"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 9);
-- As it is when these tasks were held while the run was stopped.
update quantumflow.workflow_runs set status = 'cancelled', cancelled_at = quantumflow._now();
update quantumflow.step_states set status = 'cancelled';

select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from claimed where step_slug = 'completes'),
  'run_ended', 'a result');
select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'x', lease_token) from claimed where step_slug = 'fails'),
  'run_ended', 'a failure');
select is(
  (select quantumflow.release_tasks(jsonb_agg(to_jsonb(c))) from claimed c where step_slug = 'released'), 0, 'a release');
select results_eq(
  'select step_slug, status, output, error_message from quantumflow.step_tasks order by 1',
  $$values ('completes' collate "C", 'cancelled', null::jsonb, null::text), ('fails', 'cancelled', null, null), ('released', 'cancelled', null, null)$$,
  'nothing is recorded, the tasks are cancelled');
select is_empty('select from pgmq.q_quantum_flow_queue', 'their messages are gone');
select is_empty('select from quantumflow.task_failures', 'no failure is on record');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
