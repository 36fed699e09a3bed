begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());
select quantumflow.complete_task(run_id, step_slug, task_index, '"first"', lease_token) from claimed;
create temporary table before on commit drop as
select t.*, s.remaining_deps, r.remaining_steps
from quantumflow.step_tasks t
join quantumflow.step_states s using (run_id, step_slug)
join quantumflow.workflow_runs r on r.id = t.run_id;
set local quantumflow.now = '2030-01-01 00:01:00+00';

select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '"second"', lease_token) from claimed),
  'duplicate', 'with the same token');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '"second"') from claimed), 'duplicate', 'by hand');
select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'x', lease_token) from claimed),
  'duplicate', 'a failure after it');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '"second"', 1) from claimed), 'stale', 'another token');
select set_eq(
  'select t.*, s.remaining_deps, r.remaining_steps
   from quantumflow.step_tasks t
   join quantumflow.step_states s using (run_id, step_slug)
   join quantumflow.workflow_runs r on r.id = t.run_id',
  'table before', 'nothing has changed');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'the next step is queued once');
select is_empty('select from quantumflow.task_failures', 'no failure is on record');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
