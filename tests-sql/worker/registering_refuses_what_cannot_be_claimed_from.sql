begin;
select plan(4);

select throws_ok(
  $$select quantumflow.register_worker(null, 'x', null, '{quantum_flow_queue}')$$, 'QF304', null, 'no worker_id');
select throws_ok(
  $$select quantumflow.register_worker(gen_random_uuid(), 'x', null, '{nowhere}')$$, 'QF401', null, 'an unknown queue');
select throws_ok($$select quantumflow.register_worker(gen_random_uuid(), 'x', null, '{}')$$, 'QF401', null, 'no queue');
select is_empty('select from quantumflow.workers', 'no row was written');

select * from finish();
rollback;
