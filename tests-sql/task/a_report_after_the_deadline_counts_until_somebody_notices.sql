begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "timeout": 10}]}');
select quantumflow.start_flow('w');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());
set local quantumflow.now = '2030-01-01 01:00:00+00';

select is((select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from claimed), 'completed', 'accepted');
select is((select status from quantumflow.workflow_runs), 'completed', 'the run is completed');
select is_empty('select from quantumflow.task_failures', 'there was no failure');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
