begin;
select plan(20);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
set local quantumflow.actor = 'ann@example.com';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "approved", "type": "wait"},
  {"name": "paid", "type": "wait", "signals": ["payment.succeeded", "payment.failed"], "dependencies": ["approved"]},
  {"name": "z", "dependencies": ["approved", "paid"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', idempotency_key => 'order 7');

select is(
  quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'payment.failed', '"card"', key => 'evt_1'), 'kept',
  'nobody waits for it yet');
select is(
  quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'payment.failed', '"card"', key => 'evt_1'), 'duplicate',
  'the same key is the same signal');
select is(
  quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'payment.succeeded', key => 'evt_1'), 'kept', 'of that name');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select results_eq(
  'select step_slug, signals, since, until from quantumflow.list_waits()',
  $$values ('approved', '{approved}'::text[], '2030-01-01 00:00:00+00'::timestamptz, null::timestamptz)$$,
  'it waits for a signal of its name, for ever');
select is((select vt from pgmq.q_quantum_flow_system), 'infinity'::timestamptz, 'its message sleeps');
select results_eq('select * from quantumflow.settle()', 'values (0, null::timestamptz)', 'nothing is due, nor will be');

select is(
  quantumflow.send_signal_by_key('w', 'order 7', 'approved', '{"by": "ann"}'), 'delivered',
  'who knows the key of the run need not know its id');
select results_eq(
  'select step_slug, status from quantumflow.step_tasks order by 1',
  $$values ('approved' collate "C", 'completed'), ('paid', 'queued')$$,
  'what waits goes on in the sender''s own transaction');
select is((select vt from pgmq.q_quantum_flow_system), quantumflow._now(), 'and a wait whose signal lies there is due at once');
select results_eq('select settled from quantumflow.settle()', 'values (1)', 'so it is settled');
select results_eq(
  'select step_slug, input from quantumflow.claim_tasks(gen_random_uuid())',
  $$values ('z', '{"run": {}, "approved": {"by": "ann"}, "paid": {"signal": "payment.failed", "payload": "card"}}'::jsonb)$$,
  'the oldest that it waits for wins, and of several the output says which');
select results_eq(
  'select number, signal, step_slug, sent_by = session_user, on_behalf_of from quantumflow.signals order by 1',
  $$values
    (1, 'payment.failed' collate "C", 'paid' collate "C", true, 'ann@example.com'),
    (2, 'payment.succeeded', null, true, 'ann@example.com'),
    (3, 'approved', 'approved', true, 'ann@example.com')$$,
  'who sent it stays, and the loser too');
select results_eq(
  $$select what, step_slug, who, detail from quantumflow.timeline('10000000-0000-0000-0000-000000000001')
  where what like 'signal %' and detail <> 'payment.succeeded'$$,
  $$values
    ('signal sent', 'paid', session_user::text collate "default" || ' for ann@example.com', 'payment.failed'),
    ('signal sent', 'approved', session_user::text collate "default" || ' for ann@example.com', 'approved'),
    ('signal taken', 'paid', null, 'payment.failed'),
    ('signal taken', 'approved', null, 'approved')$$,
  'and the timeline tells of it');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'z');
select is(quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'approved'), 'run_ended', 'after the end nothing is kept');
select is(
  quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'payment.failed', key => 'evt_1'), 'duplicate',
  'but who repeats what came in time is told so');
select is(quantumflow.send_signal('20000000-0000-0000-0000-000000000001', 'approved'), 'no_run', 'a run that is not there');
select is(quantumflow.send_signal_by_key('w', 'order 8', 'approved'), 'no_run', 'nor is one of that key');

select quantumflow.delete_run('10000000-0000-0000-0000-000000000001');
select is_empty('select from quantumflow.signals', 'with the run its signals go');

select * from finish();
rollback;
