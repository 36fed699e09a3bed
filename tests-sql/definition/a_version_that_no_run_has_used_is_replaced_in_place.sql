begin;
select plan(4);

select is(
  (quantumflow.define_flow('{"slug": "order", "on_complete": "tell", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}')).version,
  1, 'a first version');

select is(
  (quantumflow.define_flow('{"slug": "order", "steps": [{"name": "b"}, {"name": "c", "dependencies": ["b"]}]}')).version,
  1, 'other content is the same version');

select results_eq(
  $$
  select v.version, array(select jsonb_path_query(v.definition, '$.steps[*].name') #>> '{}')
  from quantumflow.workflow_versions v
  where v.workflow_slug = 'order'
  $$,
  $$values (1, array['b', 'c'])$$,
  'there is one version, with the new definition');

select results_eq(
  $$
  select s.version, s.step_slug, e.depends_on_step
  from quantumflow.workflow_steps s
  left join quantumflow.workflow_step_edges e using (workflow_slug, version, step_slug)
  order by s.step_slug
  $$,
  $$values (1, 'b' collate "C", null collate "C"), (1, 'c', 'b')$$,
  'the steps, callbacks and edges of before are gone');

select * from finish();
rollback;
