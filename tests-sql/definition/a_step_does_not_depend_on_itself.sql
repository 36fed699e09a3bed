begin;
select plan(1);

select results_eq(
  $$
  select v.code, v.path, v.message
  from quantumflow.validate_flow('{"slug": "order", "steps": [{"name": "a", "dependencies": ["a"]}]}') v
  $$,
  $$values ('QF106', 'steps[0].dependencies[0]', 'step "a" depends on itself')$$,
  'that is not reported as a cycle as well');

select * from finish();
rollback;
