begin;
select plan(9);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "wait"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', idempotency_key => 'k');
select quantumflow.configure('max_signals', '2');
select quantumflow.configure('max_output_bytes', '1000');

select throws_ok($$select quantumflow.send_signal('10000000-0000-0000-0000-000000000001', null)$$, 'QF222', 'signal must have 1 to 128 characters');
select throws_ok($$select quantumflow.send_signal('10000000-0000-0000-0000-000000000001', '')$$, 'QF222', null, 'a name without letters');
select throws_ok(
  $$select quantumflow.send_signal('10000000-0000-0000-0000-000000000001', repeat('x', 129))$$, 'QF222', null, 'a name that is too long');
select throws_ok(
  $$select quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'b', key => '')$$, 'QF222', 'key must have 1 to 255 characters');
select throws_ok(
  $$select quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'b', to_jsonb(repeat('x', 1001)))$$, 'QF217',
  'the payload of signal "b" is too large');
select throws_ok($$select quantumflow.send_signal_by_key('nothing', 'k', 'b')$$, 'QF111', 'workflow "nothing" does not exist');
select quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'b') from generate_series(1, 2);
select throws_ok(
  $$select quantumflow.send_signal_by_key('w', 'k', 'b')$$, 'QF218', 'run 10000000-0000-0000-0000-000000000001 takes no more signals');
select is((select count(*) from quantumflow.signals), 2::bigint, 'nothing of it is kept');
select throws_ok('select * from quantumflow.settle(0)', 'QF302', 'max_tasks must be between 1 and 10000');

select * from finish();
rollback;
