begin;
select plan(3);

select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');

select throws_ok($$select quantumflow.start_flow('one', headers => '[1]')$$, 'QF208', null, 'no array');
select throws_ok($$select quantumflow.start_flow('one', headers => 'null')$$, 'QF208', null, 'no JSON null');
select is_empty('select from quantumflow.workflow_runs', 'nothing was started');

select * from finish();
rollback;
