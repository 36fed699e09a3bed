begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["b"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select is(quantumflow.start_ready_steps('10000000-0000-0000-0000-000000000001'), 0, 'after the start');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select is(quantumflow.start_ready_steps('10000000-0000-0000-0000-000000000001'), 0, 'after a step');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'nothing is queued twice');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select is(quantumflow.start_ready_steps('10000000-0000-0000-0000-000000000001'), 0, 'after the end');
select throws_ok(
  $$select quantumflow.start_ready_steps('10000000-0000-0000-0000-000000000009')$$, 'QF201', null, 'an unknown run is refused');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
