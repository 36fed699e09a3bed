begin;
select plan(4);

select lives_ok(
  $$
  select quantumflow.define_flow((
    select jsonb_build_object('slug', 'chain', 'steps', jsonb_agg(
      jsonb_build_object('name', 's' || i) || case when i > 1 then jsonb_build_object('dependencies', jsonb_build_array('s' || i - 1)) else '{}' end
      order by i))
    from generate_series(1, 100) i));
  select quantumflow.define_flow((
    select jsonb_build_object('slug', 'roots', 'steps', jsonb_agg(jsonb_build_object('name', 's' || i) order by i))
    from generate_series(1, 50) i));
  select quantumflow.define_flow((
    select jsonb_build_object('slug', 'ladder', 'steps', jsonb_agg(jsonb_build_object(
      'name', a || layer,
      'dependencies', case when layer > 1 then jsonb_build_array('a' || layer - 1, 'b' || layer - 1) else '[]' end)))
    from generate_series(1, 1000) layer, unnest('{a,b}'::text[]) a))
  $$,
  'a chain of 100, 50 roots, 1,000 layers of two');

select results_eq(
  $$
  select s.workflow_slug, count(*)::int, sum(cardinality(s.dependencies))::int, sum(cardinality(s.dependents))::int
  from quantumflow.workflow_steps s
  group by s.workflow_slug
  order by s.workflow_slug
  $$,
  $$values ('chain' collate "C", 100, 99, 99), ('ladder', 2000, 3996, 3996), ('roots', 50, 0, 0)$$,
  'all steps and dependencies are there');

select is(
  (select string_agg(n.name #>> '{}', ',') from jsonb_path_query(quantumflow.get_flow('chain'), '$.steps[*].name') as n(name)),
  (select string_agg('s' || i, ',') from generate_series(1, 100) i),
  'get_flow returns them in the order given');

select is(
  (
    select array_agg(s.step_slug order by s.step_index) = array_agg(s.step_slug order by substr(s.step_slug, 2)::int)
    from quantumflow.workflow_steps s
    where s.workflow_slug = 'chain'
  ),
  true,
  'and so does step_index');

select * from finish();
rollback;
