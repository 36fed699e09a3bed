begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a", "start_delay": 5}, {"name": "m", "type": "map", "dependencies": ["a"], "start_delay": 60}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', start_at => '2030-01-01 00:01:00+00', priority => 9);

select results_eq(
  'select q.vt, t.queued_at from pgmq.q_quantum_flow_queue q, quantumflow.step_tasks t',
  $$values ('2030-01-01 00:01:05+00'::timestamptz, '2030-01-01 00:01:05+00'::timestamptz)$$,
  'after the moment at which the run starts');
set local quantumflow.now = '2030-01-01 00:02:00+00';
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select results_eq(
  'select distinct q.vt, s.started_at from pgmq.q_quantum_flow_queue q, quantumflow.step_states s where s.step_slug = ''m''',
  $$values ('2030-01-01 00:03:00+00'::timestamptz, '2030-01-01 00:02:00+00'::timestamptz)$$,
  'after the step became ready');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
