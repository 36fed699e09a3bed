begin;
select plan(8);

select quantumflow.define_flow('{"slug": "w", "on_failure": "alert", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', '"small"', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '"large"', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('w', '"small"', run_id => '10000000-0000-0000-0000-000000000003');

-- 256 MB would take long: what PostgreSQL says of them, said of a marked input.
create or replace function quantumflow._task_input(
  p_run_id uuid, p_step_slug text, p_task_index int, p_item_value jsonb, p_run_input jsonb, p_retries int, p_dependencies text[],
  p_counts boolean, p_gathers boolean, p_repeats boolean, p_chunk_size int, p_most int)
returns table (input jsonb, fresh_since int)
language plpgsql stable as $limited$
begin
  if p_run_input = '"large"' then
    raise program_limit_exceeded using message = 'total size of jsonb object elements exceeds the maximum';
  end if;
  return query select jsonb_build_object('run', p_run_input), 0;
end
$limited$;

select results_eq(
  $$select run_id from quantumflow.claim_tasks(gen_random_uuid(), 10)$$,
  $$values ('10000000-0000-0000-0000-000000000001'::uuid), ('10000000-0000-0000-0000-000000000003')$$,
  'the others are handed out');
select results_eq(
  $$select status, error_message from quantumflow.step_tasks where run_id = '10000000-0000-0000-0000-000000000002' and step_slug = 'a'$$,
  $$values ('failed', 'its input exceeds what one jsonb value can hold (QF308)')$$,
  'the task failed');
select results_eq(
  $$select status, error_message from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000002'$$,
  $$values ('failed', 'step a: its input exceeds what one jsonb value can hold (QF308)')$$,
  'and its run');
select results_eq(
  'select kind, attempt from quantumflow.task_failures', $$values ('error', 1)$$, 'the history says so');
select is(
  (select status from quantumflow.step_tasks where step_slug = '_on_failure'), 'queued', 'its on_failure task was made');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.retry_run('10000000-0000-0000-0000-000000000002');
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'it is as large in a retry of its run');
select results_eq(
  'select retries, attempt, kind from quantumflow.task_failures order by 1', $$values (0, 1, 'error'), (1, 1, 'error')$$,
  'and fails as the attempt of that');

select * from finish();
rollback;
