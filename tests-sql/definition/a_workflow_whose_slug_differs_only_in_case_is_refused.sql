begin;
select plan(4);

select lives_ok($$select quantumflow.define_flow('{"slug": "Order", "steps": [{"name": "a"}]}')$$, 'Order exists');

select throws_ok(
  $$select quantumflow.define_flow('{"slug": "order", "steps": [{"name": "a"}]}')$$,
  'QF114', 'workflow "order" differs from "Order" only in case', 'order is refused by define_flow');

select throws_ok(
  $$select quantumflow.create_flow('ORDER')$$,
  'QF114', 'workflow "ORDER" differs from "Order" only in case', 'and by create_flow');

select results_eq(
  'select w.workflow_slug from quantumflow.workflows w',
  $$values ('Order' collate "C")$$,
  'the first is untouched');

select * from finish();
rollback;
