begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "start_delay": 600}, {"name": "c", "retry_delay": 600}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', priority => 5);
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');
select is(
  quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'c', retry_after => interval '900 s'),
  'retrying', 'a failure is recorded while the run is paused');

set local quantumflow.now = '2030-01-01 00:01:00+00';
select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');

select results_eq(
  $$select message ->> 'step_name', vt from pgmq.q_quantum_flow_queue order by 1$$,
  $$values
    ('a', '2029-12-31 23:59:55+00'::timestamptz),
    ('b', '2030-01-01 00:10:00+00'),
    ('c', '2030-01-01 00:15:00+00')$$,
  'what waited for its time waits on, the rest is where its priority puts it');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
