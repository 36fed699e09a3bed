begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.setup();
select quantumflow.register_worker(gen_random_uuid(), 'silent', '{a}', '{quantum_flow_queue}');
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'stopped', '{a}', '{quantum_flow_queue}');
select quantumflow.stop_worker('a0000000-0000-0000-0000-00000000000a');
set local quantumflow.now = '2030-01-01 00:10:00+00';
select quantumflow.register_worker(gen_random_uuid(), 'old', null, '{quantum_flow_queue}');
select quantumflow.register_worker(gen_random_uuid(), 'idle', '{a}', '{quantum_flow_queue}', slots => 2, running => 0);
select quantumflow.register_worker(gen_random_uuid(), 'working', '{a}', '{quantum_flow_queue}', slots => 2, running => 1);
select quantumflow.register_worker(
  gen_random_uuid(), 'zbusy', '{a}', '{quantum_flow_queue}', 'box', 42, '0.4.0', 2, 2,
  '[{"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "a", "task_index": 0, "since": "2030-01-01T00:00:00Z"}]');

select results_eq(
  'select name, state from quantumflow.list_workers()',
  $$values ('idle', 'idle'), ('old', 'alive'), ('working', 'working'), ('zbusy', 'busy')$$, 'those that are alive');
select results_eq(
  'select name, state from quantumflow.list_workers(alive_only => false) limit 2',
  $$values ('silent', 'silent'), ('stopped', 'stopped')$$, 'and all');
select results_eq(
  $$select host, pid, version, queues, commands, slots, running, last_seen_at from quantumflow.list_workers() where name = 'zbusy'$$,
  $$values ('box', 42, '0.4.0', '{quantum_flow_queue}'::text[], '{a}'::text[], 2, 2, '2030-01-01 00:10:00+00'::timestamptz)$$,
  'as it says of itself');
select throws_ok(
  $$select quantumflow.register_worker(gen_random_uuid(), 'x', null, '{quantum_flow_queue}', running => -1)$$, 'QF302', null, 'less than none');
select throws_ok(
  $$select quantumflow.register_worker(gen_random_uuid(), 'x', null, '{quantum_flow_queue}', oldest => '[1, 2, 3, 4, 5, 6]')$$,
  'QF302', null, 'more than the oldest five');

select * from finish();
rollback;
