begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "left_out"}, {"name": "sql_null"}, {"name": "json_null"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 3);
select outcome from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(c)) from claimed c where step_slug = 'left_out'));
select outcome
from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(c) || '{"output": null}') from claimed c where step_slug = 'json_null'));
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'sql_null', output => null);

select results_eq(
  'select step_slug, output, output is null from quantumflow.step_tasks order by 1',
  $$values ('json_null' collate "C", 'null'::jsonb, false), ('left_out', 'null', false), ('sql_null', 'null', false)$$,
  'SQL null means none yet');
select is(
  (select output from quantumflow.workflow_runs), '{"left_out": null, "sql_null": null, "json_null": null}'::jsonb,
  'so the run''s output has a null for each');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
