begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "on_complete": "tell", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');

-- 256 MB would take long: what PostgreSQL says of them.
create function pg_temp.limited(input jsonb) returns jsonb language plpgsql immutable as $limited$
begin
  raise program_limit_exceeded using message = 'total size of jsonb object elements exceeds the maximum';
end
$limited$;
create or replace view quantumflow._task_inputs as
select t.run_id, t.step_slug, t.task_index, pg_temp.limited(r.input) as input,
  t.status, t.message_id, 'tell'::text as command, null::jsonb as args, 3 as max_attempts, r.headers, 'callback'::text as step_type,
  r.retries, 0 as fresh_since, r.version
from quantumflow.step_tasks t
join quantumflow.workflow_runs r on r.id = t.run_id;

select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid())', 'it is not handed out');
select results_eq(
  $$select status, error_message from quantumflow.step_tasks where step_slug = '_on_complete'$$,
  $$values ('failed', 'its input exceeds what one jsonb value can hold (QF308)')$$, 'the callback failed');
select is((select status from quantumflow.workflow_runs), 'completed', 'the run is what it was');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
