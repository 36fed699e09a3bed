begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "map"}, {"name": "b", "type": "map"}]}');
select quantumflow.start_flow('w', '[0]', run_id => '10000000-0000-0000-0000-000000000001');

-- 256 MB would take long: what PostgreSQL says of them, said of the first map.
create or replace function quantumflow._gather_map(p_run_id uuid, p_step_slug text) returns jsonb language plpgsql as $gather$
begin
  if p_step_slug = 'a' then
    raise program_limit_exceeded using message = 'total size of jsonb array elements exceeds the maximum';
  end if;
  return (select jsonb_agg(t.output order by t.task_index)
    from quantumflow.step_tasks t where (t.run_id, t.step_slug) = (p_run_id, p_step_slug));
end
$gather$;

select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 2);
select quantumflow.complete_tasks((select jsonb_agg(to_jsonb(t) || '{"output": 1}' order by t.step_slug) from quantumflow.step_tasks t));

select results_eq(
  'select step_slug, status, output from quantumflow.step_states order by 1',
  $$values ('a' collate "C", 'failed', null::jsonb), ('b', 'cancelled', null)$$,
  'a map that ends in the same batch is cancelled with the run');
select is((select status from quantumflow.workflow_runs), 'failed', 'which failed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
