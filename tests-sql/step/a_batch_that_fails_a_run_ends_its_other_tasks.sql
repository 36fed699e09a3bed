begin;
select plan(5);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', '[0, 1]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '[0]', run_id => '10000000-0000-0000-0000-000000000002');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);

select results_eq(
  $$
  select run_id, task_index, outcome
  from quantumflow.fail_tasks((
    select jsonb_agg(
      jsonb_build_object(
        'run_id', run_id, 'step_slug', step_slug, 'task_index', task_index, 'lease_token', lease_token,
        'error_message', 'no', 'retryable', run_id::text like '%2' or task_index = 0)
      order by run_id, task_index)
    from claimed))
  $$,
  $$
  values
    ('10000000-0000-0000-0000-000000000001'::uuid, 0, 'run_ended'),
    ('10000000-0000-0000-0000-000000000001', 1, 'failed'),
    ('10000000-0000-0000-0000-000000000002', 0, 'retrying')
  $$,
  'a task of the run that fails is not said to be tried again');
select results_eq(
  'select task_index, status from quantumflow.step_tasks where run_id = ''10000000-0000-0000-0000-000000000001'' order by 1',
  $$values (0, 'cancelled'), (1, 'failed')$$, 'nor will it be');
select results_eq(
  'select status from quantumflow.workflow_runs order by id', $$values ('failed'), ('started')$$, 'other runs go on');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'with their messages');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
