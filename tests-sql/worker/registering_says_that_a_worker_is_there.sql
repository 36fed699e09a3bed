begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.setup();
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'host:1', '{mail,print}', '{quantum_flow_queue}');

select results_eq(
  'select worker_id, name, commands, queues, started_at, last_seen_at, stopped_at from quantumflow.workers',
  $$values ('a0000000-0000-0000-0000-00000000000a'::uuid, 'host:1', '{mail,print}'::text[], '{quantum_flow_queue}'::text[],
    '2030-01-01 00:00:00+00'::timestamptz, '2030-01-01 00:00:00+00'::timestamptz, null::timestamptz)$$,
  'a row');
set local quantumflow.now = '2030-01-01 00:01:00+00';
select quantumflow.stop_worker('a0000000-0000-0000-0000-00000000000a');
select is((select stopped_at from quantumflow.workers), '2030-01-01 00:01:00+00'::timestamptz, 'it says when it stopped');
select lives_ok($$select quantumflow.stop_worker(gen_random_uuid())$$, 'one that is not known changes nothing');

set local quantumflow.now = '2030-01-01 00:02:00+00';
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'host:2', null, '{quantum_flow_queue}');
select results_eq(
  'select name, commands, started_at, last_seen_at, stopped_at from quantumflow.workers',
  $$values ('host:2', null::text[], '2030-01-01 00:00:00+00'::timestamptz, '2030-01-01 00:02:00+00'::timestamptz, null::timestamptz)$$,
  'registering again updates the row');

select * from finish();
rollback;
