begin;
select plan(3);

select results_eq(
  $$select v.code, v.path from quantumflow.validate_flow('{}') v$$,
  $$values ('QF101', 'slug'), ('QF101', 'steps')$$,
  'both keys are required');

select results_eq(
  $$select v.code, v.path, v.message from quantumflow.validate_flow('{"slug": "order", "steps": []}') v$$,
  $$values ('QF109', 'steps', 'the definition has no steps')$$,
  'no steps are refused');

select throws_ok(
  $$select quantumflow.define_flow('{"slug": "order", "steps": []}')$$,
  'QF109', 'the definition has no steps', 'by define_flow too');

select * from finish();
rollback;
