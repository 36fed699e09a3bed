begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "on_complete": "tell", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');

-- 256 MB would take long: what PostgreSQL says of them.
create or replace function quantumflow._task_input(
  p_run_id uuid, p_step_slug text, p_task_index int, p_item_value jsonb, p_run_input jsonb, p_retries int, p_dependencies text[],
  p_counts boolean, p_gathers boolean, p_repeats boolean, p_chunk_size int, p_most int)
returns table (input jsonb, fresh_since int)
language plpgsql stable as $limited$
begin
  raise program_limit_exceeded using message = 'total size of jsonb object elements exceeds the maximum';
end
$limited$;

select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid())', 'it is not handed out');
select results_eq(
  $$select status, error_message from quantumflow.step_tasks where step_slug = '_on_complete'$$,
  $$values ('failed', 'its input exceeds what one jsonb value can hold (QF308)')$$, 'the callback failed');
select is((select status from quantumflow.workflow_runs), 'completed', 'the run is what it was');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
