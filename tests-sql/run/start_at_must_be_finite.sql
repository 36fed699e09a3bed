begin;
select plan(3);

select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');

select throws_ok($$select quantumflow.start_flow('one', start_at => 'infinity')$$, 'QF210', null, 'not never');
select throws_ok($$select quantumflow.start_flow('one', start_at => '-infinity')$$, 'QF210', null, 'not since ever');
select is_empty('select from quantumflow.workflow_runs', 'nothing was started');

select * from finish();
rollback;
