begin;
select plan(3);

select quantumflow.create_flow('empty', on_complete => 'done');

select throws_ok(
  $$select quantumflow.start_flow('empty')$$, 'QF203', 'workflow "empty" has no steps', 'start_flow');
select throws_ok($$select quantumflow.start_flows('empty', array['1'::jsonb])$$, 'QF203', null, 'start_flows');
select is_empty('select from quantumflow.workflow_runs', 'nothing was started');

select * from finish();
rollback;
