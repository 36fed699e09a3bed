begin;
select plan(3);

create temporary table given (slug text, fits boolean);
insert into given
values
  ('a', true), ('A', true), ('order_2', true), ('runs', true), (repeat('x', 128), true),
  ('', false), (repeat('x', 129), false), (repeat('x', 256), false), ('1a', false), ('a b', false), ('a-b', false), ('a.b', false),
  ('_a', false), ('_', false), ('é', false), (e'a\n', false);

select set_eq(
  $$
  select g.slug
  from given g
  where not exists (
    select from quantumflow.validate_flow(jsonb_build_object('slug', g.slug, 'steps', '[{"name": "a"}]'::jsonb)))
  $$,
  'select slug from given where fits',
  'of a flow');

select set_eq(
  $$
  select g.slug
  from given g
  where not exists (
    select
    from quantumflow.validate_flow(
      jsonb_build_object('slug', 'order', 'steps', jsonb_build_array(jsonb_build_object('name', g.slug)))))
  $$,
  'select slug from given where fits',
  'and of a step');

select set_eq(
  $$
  select v.code
  from given g
  cross join lateral quantumflow.validate_flow(jsonb_build_object('slug', g.slug, 'steps', '[{"name": "a"}]'::jsonb)) v
  $$,
  $$values ('QF103')$$,
  'the code is QF103');

select * from finish();
rollback;
