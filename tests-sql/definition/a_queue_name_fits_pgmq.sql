begin;
select plan(3);

select is_empty(
  $$
  select q.name
  from unnest(array['q', 'quantum_flow_queue', 'a1_', repeat('q', 47)]) as q(name)
  cross join lateral quantumflow.validate_flow(jsonb_build_object('slug', 'order', 'queue', q.name, 'steps', '[{"name": "a"}]'::jsonb)) v
  $$,
  'a lower-case letter, then lower-case letters, digits and underscores, at most 47');

select results_eq(
  $$
  select q.name, v.code, v.path
  from unnest(array['', '1q', '_q', 'Orders', 'a-b', 'a b', e'a\n', repeat('q', 48)]) with ordinality as q(name, number)
  cross join lateral quantumflow.validate_flow(jsonb_build_object(
    'slug', 'order', 'steps', jsonb_build_array(jsonb_build_object('name', 'a', 'queue', q.name)))) v
  order by q.number
  $$,
  $$
  select q.name, 'QF110', 'steps[0].queue'
  from unnest(array['', '1q', '_q', 'Orders', 'a-b', 'a b', e'a\n', repeat('q', 48)]) with ordinality as q(name, number)
  order by q.number
  $$,
  'anything else is refused, on a step as well');

select lives_ok(
  format(
    'select quantumflow.define_flow(%L)',
    jsonb_build_object('slug', repeat('x', 128), 'queue', repeat('q', 47), 'steps', jsonb_build_array(jsonb_build_object('name', repeat('y', 128))))),
  'slugs are never queue names: a slug of 128 characters has a queue');

select * from finish();
rollback;
