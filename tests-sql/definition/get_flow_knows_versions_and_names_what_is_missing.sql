begin;
select plan(6);

select lives_ok(
  $$
  select quantumflow.define_flow('{"slug": "order", "title": "one", "steps": [{"name": "a"}]}');
  select quantumflow.start_flow('order');
  select quantumflow.define_flow('{"slug": "order", "title": "two", "steps": [{"name": "a"}]}')
  $$,
  'a workflow of two versions');

select is(quantumflow.get_flow('order') ->> 'title', 'two', 'the current version');
select is(quantumflow.get_flow('order', 1) ->> 'title', 'one', 'an earlier one');
select throws_ok($$select quantumflow.get_flow('order', 3)$$, 'QF112', 'workflow "order" has no version 3', 'an unknown version');
select throws_ok($$select quantumflow.get_flow('ORDER')$$, 'QF111', 'workflow "ORDER" does not exist', 'an unknown workflow');
select throws_ok('select quantumflow.get_flow(null)', 'QF101', 'workflow_slug must not be null', 'null');

select * from finish();
rollback;
