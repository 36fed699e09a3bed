begin;
select plan(6);

select quantumflow.define_flow('{"slug": "w", "on_failure": "alert", "steps": [{"name": "m", "type": "map"}, {"name": "s"}]}');
select quantumflow.start_flow('w', '[0, 1]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '[0, 1]', run_id => '10000000-0000-0000-0000-000000000002');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);

-- 256 MB would take long: what PostgreSQL says of them, said of one run.
create or replace function quantumflow._gather_map(p_run_id uuid, p_step_slug text) returns jsonb language plpgsql as $gather$
begin
  if p_run_id = '10000000-0000-0000-0000-000000000001' then
    raise program_limit_exceeded using message = 'total size of jsonb array elements exceeds the maximum';
  end if;
  return (select jsonb_agg(t.output order by t.task_index)
    from quantumflow.step_tasks t where (t.run_id, t.step_slug) = (p_run_id, p_step_slug));
end
$gather$;

select is(
  (select count(*)::int
   from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(c) || '{"output": 1}') from claimed c)) where outcome = 'completed'),
  6, 'every report is taken, also of another step that ends in the same batch');
select results_eq(
  'select id, status, error_message from quantumflow.workflow_runs order by id',
  $$values
    ('10000000-0000-0000-0000-000000000001'::uuid, 'failed', 'step m: its outputs exceed what one jsonb array can hold (QF306)'),
    ('10000000-0000-0000-0000-000000000002', 'completed', null)$$,
  'only the run whose array is too large failed');
select results_eq(
  $$select step_slug, status, remaining_tasks from quantumflow.step_states
    where run_id = '10000000-0000-0000-0000-000000000001' order by 1$$,
  $$values ('m' collate "C", 'failed', 0), ('s', 'completed', 0)$$,
  'with the step');
select is((select output from quantumflow.workflow_runs where status = 'completed'), '{"m": [1, 1], "s": 1}', 'the other has its output');
select is((select count(*)::int from quantumflow.step_tasks where step_slug = '_on_failure'), 1, 'on_failure is called');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
