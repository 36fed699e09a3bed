begin;
select plan(2);

select results_eq(
  $$
  select v.code, v.path, v.message
  from quantumflow.validate_flow('{"slug": "order", "steps": [
    {"name": "a"}, {"name": "b"}, {"name": "a"}, {"slug": "A"}
  ]}') v
  $$,
  $$
  values
    ('QF104', 'steps[2].name', 'duplicate step "a"'),
    ('QF104', 'steps[3].name', 'duplicate step "A"')
  $$,
  'whatever the case');

select is_empty(
  $$
  select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}') is null
  union
  select quantumflow.define_flow('{"slug": "two", "steps": [{"name": "a"}]}') is null
  except
  values (false)
  $$,
  'two workflows may each have a step of that name');

select * from finish();
rollback;
