begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "queue": "own_queue", "steps": [{"name": "a"}]}');
select pgmq.drop_queue('own_queue');

select throws_ok($$select quantumflow.start_flow('w')$$, 'QF401', 'queue "own_queue" does not exist', 'refused');
select is_empty('select from quantumflow.workflow_runs', 'nothing was started');

select * from finish();
rollback;
