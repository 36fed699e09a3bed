begin;
select plan(5);

select lives_ok(
  $$
  select quantumflow.define_flow('{"slug": "order", "steps": [{"name": "a"}]}');
  select quantumflow.start_flow('order');
  select quantumflow.cancel_run(r.id) from quantumflow.workflow_runs r;
  select quantumflow.define_flow('{"slug": "order", "steps": [{"name": "b"}]}')
  $$,
  'an earlier version has a run, which has ended');

select throws_ok($$select quantumflow.delete_flow('order')$$, 'QF113', 'workflow "order" has runs', 'it is refused');
select is((select count(*) from quantumflow.workflow_steps), 2::bigint, 'nothing is gone');
select throws_ok('select quantumflow.delete_flow(null)', 'QF101', 'workflow_slug must not be null', 'null is refused');

delete from quantumflow.workflow_runs;
select is(quantumflow.delete_flow('order'), true, 'without runs it is deleted');

select * from finish();
rollback;
