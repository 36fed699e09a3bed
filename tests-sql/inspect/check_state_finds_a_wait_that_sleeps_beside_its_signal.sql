begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "ok", "type": "wait"}, {"name": "nap", "type": "sleep", "seconds": 60}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow._keep_signal('10000000-0000-0000-0000-000000000001', 'ok', '1', null, quantumflow._now());
update pgmq.q_quantum_flow_system set vt = 'infinity';
insert into quantumflow.signals (run_id, number, signal, payload, sent_at, sent_by)
values ('20000000-0000-0000-0000-000000000001', 1, 'ok', '1', quantumflow._now(), 'x');

select results_eq(
  'select rule, step_slug, problem, remedy from quantumflow.check_state()',
  $$values
    (0, null, 'signal 1 belongs to no run', null),
    (2, 'nap', 'the task is queued but its message sleeps for ever', 'wake it'),
    (14, 'ok', 'the step waits for a signal, and ''ok'' lies there', 'wake it')$$,
  'a wait may sleep for ever, but not beside its signal; a sleep may not');
delete from quantumflow.signals where run_id = '20000000-0000-0000-0000-000000000001';
select is((select count(*) from quantumflow.repair(false) where action like 'done: %'), 2::bigint, 'both are mended');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select results_eq('select * from quantumflow.settle()', $$values (1, '2030-01-01 00:01:00+00'::timestamptz)$$, 'the wait goes on, the sleep does later');

delete from pgmq.q_quantum_flow_system;
select results_eq(
  'select step_slug, problem, action from quantumflow.repair(false)',
  $$values ('nap', 'the task is queued but its message is not in the queue', 'done: send it a new message')$$, 'a message that is gone is sent again');
select is((select vt from pgmq.q_quantum_flow_system), '2030-01-01 00:01:00+00'::timestamptz, 'for its time');

select * from finish();
rollback;
