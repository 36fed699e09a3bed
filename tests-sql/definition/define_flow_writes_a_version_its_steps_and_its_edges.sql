begin;
select plan(5);

select results_eq(
  $$
  select d.workflow_slug, d.version, d.frozen_at
  from quantumflow.define_flow('{"slug": "order", "steps": [
    {"name": "charge", "dependencies": ["validate"]},
    {"name": "validate"},
    {"name": "send", "dependencies": ["validate", "charge", "validate"]}
  ]}') d
  $$,
  $$values ('order' collate "C", 1, null::timestamptz)$$,
  'the version is returned');

select results_eq(
  $$select w.workflow_slug, w.current_version from quantumflow.workflows w$$,
  $$values ('order' collate "C", 1)$$,
  'it is the current one');

select results_eq(
  $$
  select v.version, v.definition = quantumflow.get_flow('order'), v.content_hash ~ '^[0-9a-f]{64}$'
  from quantumflow.workflow_versions v
  where v.workflow_slug = 'order'
  $$,
  $$values (1, true, true)$$,
  'the definition is kept with its hash');

select results_eq(
  $$
  select s.version, s.step_slug, s.step_index, s.dependencies::text, s.dependents::text
  from quantumflow.workflow_steps s
  where s.workflow_slug = 'order'
  order by s.step_index
  $$,
  $$
  values
    (1, 'charge' collate "C", 0, '{validate}' collate "C", '{send}' collate "C"),
    (1, 'validate', 1, '{}', '{charge,send}'),
    (1, 'send', 2, '{validate,charge}', '{}')
  $$,
  'each step has its place, its dependencies once in the order given, and who waits for it');

select results_eq(
  $$
  select e.version, e.step_slug, e.depends_on_step
  from quantumflow.workflow_step_edges e
  where e.workflow_slug = 'order'
  order by e.step_slug, e.depends_on_step
  $$,
  $$values (1, 'charge' collate "C", 'validate' collate "C"), (1, 'send', 'charge'), (1, 'send', 'validate')$$,
  'each dependency is an edge');

select * from finish();
rollback;
