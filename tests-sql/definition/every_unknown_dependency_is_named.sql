begin;
select plan(1);

select results_eq(
  $$
  select v.code, v.path, v.message
  from quantumflow.validate_flow('{"slug": "order", "steps": [
    {"name": "a", "dependencies": ["x"]},
    {"name": "b", "dependencies": ["a", "y", "A", "y"]}
  ]}') v
  $$,
  $$
  values
    ('QF105', 'steps[0].dependencies[0]', 'step "a" depends on unknown step "x"'),
    ('QF105', 'steps[1].dependencies[1]', 'step "b" depends on unknown step "y"'),
    ('QF105', 'steps[1].dependencies[2]', 'step "b" depends on unknown step "A"')
  $$,
  'each once, with its place; names are case-sensitive here');

select * from finish();
rollback;
