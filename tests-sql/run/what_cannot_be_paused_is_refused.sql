begin;
select plan(10);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "nap", "type": "sleep", "seconds": 10}]}');

select throws_ok($$select quantumflow.pause_queue('nowhere')$$, 'QF401', null, 'a queue that is not there');
select throws_ok($$select quantumflow.resume_queue('nowhere')$$, 'QF401', null, 'nor is there one to resume');
select throws_ok($$select quantumflow.pause_queue(null)$$, 'QF401', null, 'no queue');
select throws_ok($$select quantumflow.pause_queue('quantum_flow_system')$$, 'QF407', null, 'the queue of what waits');
select throws_ok($$select quantumflow.pause_flow('nothing')$$, 'QF111', null, 'a workflow that is not defined');
select throws_ok($$select quantumflow.resume_flow('nothing')$$, 'QF111', null, 'nor is there one to resume');
select throws_ok($$select quantumflow.pause_command('nothing')$$, 'QF409', null, 'a command that no step has');
select throws_ok($$select quantumflow.resume_command('nothing')$$, 'QF409', null, 'nor is there one to resume');
select throws_ok($$select quantumflow.pause_command('sleep')$$, 'QF409', null, 'what no worker is given');
select is_empty('select * from quantumflow.pauses', 'nothing is paused');

select * from finish();
rollback;
