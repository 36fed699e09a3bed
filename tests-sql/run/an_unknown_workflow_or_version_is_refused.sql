begin;
select plan(7);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');

select throws_ok(
  $$select quantumflow.start_flow('x')$$, 'QF111', 'workflow "x" does not exist', 'no such workflow');
select throws_ok($$select quantumflow.start_flow('W')$$, 'QF111', null, 'names are case-sensitive');
select throws_ok($$select quantumflow.start_flow(null)$$, 'QF111', null, 'null names none');
select throws_ok($$select quantumflow.start_flows('x', array['1'::jsonb])$$, 'QF111', null, 'start_flows says the same');
select throws_ok(
  $$select quantumflow.start_flow('w', version => 2)$$, 'QF112', 'workflow "w" has no version 2', 'no such version');
select is_empty('select from quantumflow.workflow_runs', 'nothing was started');
select is_empty(
  'select from quantumflow.workflow_versions where frozen_at is not null', 'and nothing was frozen');

select * from finish();
rollback;
