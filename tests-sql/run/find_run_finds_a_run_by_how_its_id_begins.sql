begin;
select plan(7);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => 'abcdef00-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => 'abcdef10-0000-0000-0000-000000000002');

select is(quantumflow.find_run('ABCDEF0'), 'abcdef00-0000-0000-0000-000000000001', 'by what no other shares');
select is(quantumflow.find_run('abcdef10-00'), 'abcdef10-0000-0000-0000-000000000002', 'with hyphens');
select is(quantumflow.find_run('abcdef10-0000-0000-0000-000000000002'), 'abcdef10-0000-0000-0000-000000000002', 'by all of it');
select throws_ok($$select quantumflow.find_run('abc')$$, 'QF229', 'several runs have ids that begin with abc', 'of several');
select throws_ok($$select quantumflow.find_run('abcdef2')$$, 'QF201', null, 'of none');
select throws_ok($$select quantumflow.find_run('x%')$$, 'QF201', null, 'no id');
select throws_ok($$select quantumflow.find_run(null)$$, 'QF201', null, 'nothing');

select * from finish();
rollback;
