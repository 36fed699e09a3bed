begin;
select plan(4);

select quantumflow.define_flow('{"slug": "several", "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.define_flow('{"slug": "calling", "on_complete": "cheer", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('several', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('calling', run_id => '10000000-0000-0000-0000-000000000002');

-- Several results at once, and the last of each run among them.
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
create function pg_temp.report(flow text, step text)
returns jsonb language sql
return (
  select jsonb_agg(jsonb_build_object(
    'run_id', c.run_id, 'step_slug', c.step_slug, 'task_index', c.task_index, 'lease_token', c.lease_token, 'output', c.step_slug))
  from claimed c
  where c.workflow_slug = flow and c.step_slug = step);

select quantumflow.complete_tasks(pg_temp.report('several', 'a'));
select results_eq(
  $$select outcome from quantumflow.complete_tasks(pg_temp.report('several', 'b') || pg_temp.report('calling', 'a'))$$,
  $$values ('completed'), ('completed')$$,
  'both runs end');
select results_eq(
  'select workflow_slug collate "default", status, output from quantumflow.workflow_runs order by id',
  $$values ('several', 'completed', '{"a": "a", "b": "b"}'::jsonb), ('calling', 'completed', '{"a": "a"}')$$,
  'with the outputs of all that nobody is handed');
select results_eq(
  $$select step_slug collate "default", status from quantumflow.step_tasks where step_slug like '\_%'$$, $$values ('_on_complete', 'queued')$$,
  'and whom they call');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
