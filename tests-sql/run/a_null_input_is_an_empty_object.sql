begin;
select plan(3);

select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('one', null, run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('one', 'null', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('one', run_id => '10000000-0000-0000-0000-000000000003');

select results_eq(
  'select input from quantumflow.workflow_runs order by id',
  $$values ('{}'::jsonb), ('null'), ('{}')$$,
  'SQL null is the default, JSON null is an input');
select results_eq(
  'select input from quantumflow.claim_tasks(gen_random_uuid(), 10) order by run_id',
  $$values ('{"run": {}}'::jsonb), ('{"run": null}'), ('{"run": {}}')$$,
  'and so it arrives');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
