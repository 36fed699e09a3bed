begin;
select plan(6);

select is(
  (quantumflow.define_flow('{"slug": "order", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}')).version,
  1, 'a first version');

select lives_ok($$select quantumflow.start_flow('order')$$, 'a run uses it');

select results_eq(
  $$
  select d.version, d.frozen_at
  from quantumflow.define_flow('{"slug": "order", "steps": [{"name": "a"}, {"name": "c", "dependencies": ["a"]}]}') d
  $$,
  $$values (2, null::timestamptz)$$,
  'other content is the next version');

select results_eq(
  $$
  select s.version, s.step_slug, s.dependencies::text
  from quantumflow.workflow_steps s
  where s.workflow_slug = 'order'
  order by s.version, s.step_index
  $$,
  $$values (1, 'a' collate "C", '{}' collate "C"), (1, 'b', '{a}'), (2, 'a', '{}'), (2, 'c', '{a}')$$,
  'each version has its steps');

select results_eq(
  $$select w.current_version from quantumflow.workflows w where w.workflow_slug = 'order'$$,
  'values (2)',
  'new runs use the new one');

select is(
  (quantumflow.define_flow('{"slug": "order", "steps": [{"name": "d"}]}')).version,
  2, 'and it may still change');

select * from finish();
rollback;
