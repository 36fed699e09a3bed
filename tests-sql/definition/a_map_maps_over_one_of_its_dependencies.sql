begin;
select plan(4);

select is_empty(
  $$
  select *
  from quantumflow.validate_flow('{"slug": "order", "steps": [
    {"name": "over_input", "type": "map"},
    {"name": "a"},
    {"name": "over_only", "type": "map", "dependencies": ["a", "a"]},
    {"name": "over_map", "type": "map", "dependencies": ["over_only"]},
    {"name": "over_one", "type": "map", "dependencies": ["a", "over_map"], "map_over": "over_map"}
  ]}')
  $$,
  'or over its only one, or over the run''s input');

select results_eq(
  $$
  select v.code, v.path, v.message
  from quantumflow.validate_flow('{"slug": "order", "steps": [
    {"name": "a"}, {"name": "b"},
    {"name": "which", "type": "map", "dependencies": ["a", "b"]},
    {"name": "other", "type": "map", "dependencies": ["a"], "map_over": "b"},
    {"name": "none", "type": "map", "map_over": "a"},
    {"name": "single", "dependencies": ["a"], "map_over": "a"}
  ]}') v
  $$,
  $$
  values
    ('QF108', 'steps[2].map_over', 'map step "which" has several dependencies and no map_over'),
    ('QF108', 'steps[3].map_over', 'map step "other" maps over "b", which is not among its dependencies'),
    ('QF108', 'steps[4].map_over', 'map step "none" maps over "a", which is not among its dependencies'),
    ('QF108', 'steps[5].map_over', 'single step "single" has map_over')
  $$,
  'anything else is refused');

select lives_ok(
  $$
  select quantumflow.define_flow('{"slug": "order", "steps": [
    {"name": "over_input", "type": "map"},
    {"name": "a"},
    {"name": "b"},
    {"name": "over_only", "type": "map", "dependencies": ["a"]},
    {"name": "over_map", "type": "map", "dependencies": ["over_only"]},
    {"name": "after", "dependencies": ["b", "a"]}
  ]}')
  $$,
  'such a flow is defined');

select results_eq(
  $$
  select s.step_slug, s.step_type, s.map_over, s.feeds_map
  from quantumflow.workflow_steps s
  where s.workflow_slug = 'order'
  order by s.step_index
  $$,
  $$
  values
    ('over_input' collate "C", 'map', null collate "C", false),
    ('a', 'single', null, true),
    ('b', 'single', null, false),
    ('over_only', 'map', 'a', false),
    ('over_map', 'map', 'over_only', false),
    ('after', 'single', null, false)
  $$,
  'what a map maps over is resolved, and a single step knows that it must return an array');

select * from finish();
rollback;
