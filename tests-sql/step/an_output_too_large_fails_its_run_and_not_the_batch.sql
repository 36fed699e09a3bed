begin;
select plan(6);

select quantumflow.define_flow('{"slug": "w", "on_failure": "alert", "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);

-- 256 MB would take long: what PostgreSQL says of them, said of one run.
create or replace function quantumflow._with_outputs(p_ended quantumflow._ended_run[]) returns quantumflow._ended_run[]
language plpgsql stable as $with_outputs$
begin
  if exists (select from unnest(p_ended) k where k.run_id = '10000000-0000-0000-0000-000000000001') then
    raise program_limit_exceeded using message = 'total size of jsonb object elements exceeds the maximum';
  end if;
  return array(select row(k.run_id, '"gathered"'::jsonb, k.workflow_slug, k.version)::quantumflow._ended_run from unnest(p_ended) k);
end
$with_outputs$;

select is(
  (select count(*)::int
   from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(c) || '{"output": 1}') from claimed c)) where outcome = 'completed'),
  4, 'every report is taken');
select results_eq(
  'select id, status, output, error_message from quantumflow.workflow_runs order by id',
  $$values
    ('10000000-0000-0000-0000-000000000001'::uuid, 'failed', null::jsonb,
     'the outputs of its leaf steps exceed what one jsonb value can hold (QF209)'),
    ('10000000-0000-0000-0000-000000000002', 'completed', '"gathered"', null)$$,
  'the run whose output is too large failed, the other completed');
select results_eq(
  'select run_id, step_slug from quantumflow.step_tasks where status = ''queued''',
  $$values ('10000000-0000-0000-0000-000000000001'::uuid, '_on_failure' collate "C")$$,
  'and its on_failure is called');

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000003');
create or replace function quantumflow._with_outputs(p_ended quantumflow._ended_run[]) returns quantumflow._ended_run[]
language plpgsql stable as $with_outputs$
begin
  raise program_limit_exceeded using message = 'total size of jsonb object elements exceeds the maximum';
end
$with_outputs$;
select is(
  (select count(*)::int
   from quantumflow.complete_tasks((
     select jsonb_agg(to_jsonb(c) || '{"output": 1}') from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{a,b}') c))
   where outcome = 'completed'),
  2, 'a batch with no other run');
select is((select status from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000003'), 'failed', 'is as well');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
