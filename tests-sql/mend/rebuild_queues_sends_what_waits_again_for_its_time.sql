begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "run_timeout": 3600, "steps": [
  {"name": "nap", "type": "sleep", "seconds": 60}, {"name": "ok", "type": "wait"}, {"name": "soon", "type": "wait", "timeout": 600}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.pause_run('10000000-0000-0000-0000-000000000002');
select quantumflow._keep_signal('10000000-0000-0000-0000-000000000001', 'soon', '1', null, quantumflow._now());
-- As after a restore of a dump that had no queues.
select pgmq.drop_queue('quantum_flow_system');
select isnt_empty('select * from quantumflow.check_state()', 'nothing would be settled');
select results_eq(
  $$select messages from quantumflow.rebuild_queues() where queue = 'quantum_flow_system'$$, 'values (8::bigint)', 'each has a message again');
select results_eq(
  $$select right(message ->> 'workflow_run_id', 1), message ->> 'step_name', vt from pgmq.q_quantum_flow_system order by 1, 3, 2$$,
  $$values
    ('1', 'soon', '2030-01-01 00:00:00+00'::timestamptz), ('1', 'nap', '2030-01-01 00:01:00+00'),
    ('1', '_run_timeout', '2030-01-01 01:00:00+00'), ('1', 'ok', 'infinity'),
    ('2', '_run_timeout', '2030-01-01 01:00:00+00'), ('2', 'nap', 'infinity'), ('2', 'ok', 'infinity'), ('2', 'soon', 'infinity')$$,
  'for its time, at once where its signal lies there, and not while its run is paused');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select results_eq('select settled from quantumflow.settle()', 'values (1)', 'and is settled');

select * from finish();
rollback;
