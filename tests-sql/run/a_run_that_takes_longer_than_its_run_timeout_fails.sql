begin;
select plan(14);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "run_timeout": 3600, "on_failure": "tell", "steps": [{"name": "a"}, {"name": "z", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002', start_at => '2030-01-01 00:30:00+00');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000003');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000004');
select results_eq(
  'select step_slug, task_index, status, queued_at from quantumflow.step_tasks where queue = $$quantum_flow_system$$ order by run_id',
  $$values
    ('_run_timeout' collate "C", 0, 'queued', '2030-01-01 01:00:00+00'::timestamptz), ('_run_timeout', 0, 'queued', '2030-01-01 01:30:00+00'),
    ('_run_timeout', 0, 'queued', '2030-01-01 01:00:00+00'), ('_run_timeout', 0, 'queued', '2030-01-01 01:00:00+00')$$,
  'a deadline counts from when the run begins');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000003', 'a');
select count(*) from quantumflow.complete_tasks((
  select jsonb_agg(to_jsonb(c) || '{"output": 1}') from quantumflow.claim_tasks(gen_random_uuid(), commands => '{z}') c));
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000004');
select results_eq(
  'select vt from pgmq.q_quantum_flow_system order by 1',
  $$values ('2030-01-01 01:00:00+00'::timestamptz), ('2030-01-01 01:30:00+00')$$,
  'a pause does not touch it, and with its run it ends');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

set local quantumflow.now = '2030-01-01 01:00:00+00';
select results_eq('select settled from quantumflow.settle()', 'values (1)', 'when it has come');
select results_eq(
  'select status, error_message from quantumflow.workflow_runs order by id',
  $$values ('failed', 'the run took longer than 01:00:00 (run_timeout)'), ('started', null), ('completed', null), ('cancelled', null)$$,
  'it fails the run, even a paused one');
select results_eq(
  'select step_slug, status from quantumflow.step_states where run_id = $$10000000-0000-0000-0000-000000000001$$ order by 1',
  $$values ('a' collate "C", 'cancelled'), ('z', 'cancelled')$$, 'whose steps are cancelled');
select results_eq(
  $$select step_slug, input from quantumflow.claim_tasks(gen_random_uuid(), commands => '{tell}')$$,
  $$values ('_on_failure', '{"run": {}, "error": "the run took longer than 01:00:00 (run_timeout)", "failure": {
    "message": "the run took longer than 01:00:00 (run_timeout)", "kind": "timeout", "step_slug": null, "task_index": null, "attempt": null}}'::jsonb)$$,
  'and its callback is told that no step was the reason');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  $$select task_index, status, queued_at from quantumflow.step_tasks
  where step_slug = '_run_timeout' and run_id = '10000000-0000-0000-0000-000000000001' order by 1$$,
  $$values (0, 'failed', '2030-01-01 01:00:00+00'::timestamptz), (1, 'queued', '2030-01-01 02:00:00+00')$$,
  'a retry has as long again');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

delete from quantumflow.step_tasks where step_slug = '_run_timeout' and task_index = 1;
delete from pgmq.q_quantum_flow_system where vt = '2030-01-01 02:00:00+00';
select results_eq(
  'select rule, step_slug, problem, remedy from quantumflow.check_state()',
  $$values (8, '_run_timeout', 'the run goes on without its deadline', 'set its deadline')$$, 'one that is missing is found');
select results_eq('select action from quantumflow.repair(false)', $$values ('done: set its deadline')$$, 'and made again');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
