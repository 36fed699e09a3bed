begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');

select is_empty($$select quantumflow.start_flows('w', '{}')$$, 'no input, no run');
select is_empty($$select quantumflow.start_flows('w', null)$$, 'nor for null');
select is((select frozen_at from quantumflow.workflow_versions), null, 'and the version may still change');

select * from finish();
rollback;
