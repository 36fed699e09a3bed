begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "nap", "type": "sleep", "seconds": 60}, {"name": "nod", "type": "sleep", "seconds": 600},
  {"name": "ok", "type": "wait"}, {"name": "later", "type": "wait"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', priority => 7);
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');

select is(quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'ok', '1'), 'kept', 'a signal to a paused run is kept');
set local quantumflow.now = '2030-01-01 00:02:00+00';
select results_eq('select * from quantumflow.settle()', 'values (0, null::timestamptz)', 'nothing of it is due');
select is((select min(vt) from pgmq.q_quantum_flow_system), 'infinity'::timestamptz, 'all of it sleeps');
select results_eq(
  'select distinct reason from quantumflow.why($$10000000-0000-0000-0000-000000000001$$)', $$values ('paused')$$, 'since the run is paused');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  $$select message ->> 'step_name', vt from pgmq.q_quantum_flow_system order by 2, 1$$,
  $$values
    ('nap', '2030-01-01 00:00:53+00'::timestamptz), ('ok', '2030-01-01 00:02:00+00'), ('nod', '2030-01-01 00:10:00+00'), ('later', 'infinity')$$,
  'then what has come meanwhile is due, and the rest as before');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select results_eq('select settled from quantumflow.settle()', 'values (2)', 'and is settled');

-- A message that was found due just before the pause.
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
update pgmq.q_quantum_flow_system set vt = quantumflow._now() where message ->> 'step_name' = 'nod';
select results_eq('select settled from quantumflow.settle()', 'values (0)', 'what is found of a paused run is put back');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
