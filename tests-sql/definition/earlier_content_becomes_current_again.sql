begin;
select plan(6);

select lives_ok(
  $$
  select quantumflow.define_flow('{"slug": "order", "steps": [{"name": "a"}]}');
  select quantumflow.start_flow('order');
  select quantumflow.define_flow('{"slug": "order", "steps": [{"name": "a"}, {"name": "b"}]}');
  select quantumflow.start_flow('order')
  $$,
  'two versions are used');

select results_eq(
  $$select d.version, d.frozen_at is not null from quantumflow.define_flow('{"slug": "order", "steps": [{"name": "a"}]}') d$$,
  $$values (1, true)$$,
  'the content of the first is the first again');

select results_eq(
  $$select w.current_version from quantumflow.workflows w where w.workflow_slug = 'order'$$,
  'values (1)',
  'it is current');

select lives_ok($$select quantumflow.start_flow('order')$$, 'a run starts');

select results_eq(
  'select r.version from quantumflow.workflow_runs r order by r.version',
  'values (1), (1), (2)',
  'new runs use it');

select is(
  (quantumflow.define_flow('{"slug": "order", "steps": [{"name": "c"}]}')).version,
  3,
  'other content after that is a version that was never used before');

select * from finish();
rollback;
