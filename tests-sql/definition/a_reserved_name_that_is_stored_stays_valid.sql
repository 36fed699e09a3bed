begin;
select plan(8);

-- As a version did that reserved less.
alter function quantumflow._reserved_names() rename to _reserved_today;
create function quantumflow._reserved_names() returns text[] language sql return '{}'::text[];

create temporary table stored as
select '{"slug": "order", "steps": [{"name": "input"}, {"name": "b", "dependencies": ["input"]}]}'::jsonb as definition;

select quantumflow.define_flow(definition) from stored;
select quantumflow.create_flow('items');

drop function quantumflow._reserved_names();
alter function quantumflow._reserved_today() rename to _reserved_names;

select is_empty(
  'select v.* from stored, quantumflow.validate_flow(definition) v', 'a definition that is stored has no problems');

select is(
  (select (quantumflow.define_flow(definition)).version from stored), 1, 'and is the same version');

select lives_ok($$select quantumflow.create_flow('order', max_attempts => 5)$$, 'the workflow''s settings can be changed');
select lives_ok($$select quantumflow.add_step('order', 'c', '{input}')$$, 'a step can be added');
select lives_ok($$select quantumflow.add_step('items', 'a')$$, 'and one to a workflow whose own name it is');
select lives_ok(
  $$select quantumflow.define_flow(quantumflow.get_flow('order'))$$, 'what get_flow returns is taken');

select throws_ok(
  $$select quantumflow.add_step('order', 'ctx')$$, 'QF103', 'name must not be "ctx", which is reserved', 'another is refused');

select throws_ok(
  $$select quantumflow.define_flow(jsonb_set(definition, '{slug}', '"other"')) from stored$$,
  'QF103', 'name must not be "input", which is reserved', 'and the same in another workflow');

select * from finish();
rollback;
