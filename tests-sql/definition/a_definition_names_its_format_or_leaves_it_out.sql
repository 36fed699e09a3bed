begin;
select plan(2);

select is_empty(
  $$select * from quantumflow.validate_flow('{"version": "1.0", "slug": "order", "steps": [{"name": "a"}]}')$$,
  'format 1.0 is known');

select results_eq(
  $$
  select v.code, v.path
  from (values (1, '"2.0"'), (2, '1.0'), (3, '1'), (4, 'null')) as g(number, version)
  cross join lateral quantumflow.validate_flow(
    jsonb_build_object('version', g.version::jsonb, 'slug', 'order', 'steps', '[{"name": "a"}]'::jsonb)) v
  order by g.number
  $$,
  $$values ('QF101', 'version'), ('QF101', 'version'), ('QF101', 'version'), ('QF101', 'version')$$,
  'another is not');

select * from finish();
rollback;
