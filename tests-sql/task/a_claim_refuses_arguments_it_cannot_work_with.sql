begin;
select plan(18);

select quantumflow.setup();

select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), 0)$$, 'QF302', null, 'quantity 0');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), -1)$$, 'QF302', null, 'quantity -1');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), 10001)$$, 'QF302', null, 'quantity 10,001');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), null)$$, 'QF302', null, 'quantity null');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), lease => '0 s')$$, 'QF303', null, 'lease 0');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), lease => '-1 s')$$, 'QF303', null, 'lease -1 s');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), lease => '1 day 1 s')$$, 'QF303', null, 'over a day');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), lease => null)$$, 'QF303', null, 'lease null');
select throws_ok($$select quantumflow.claim_tasks(null)$$, 'QF304', null, 'no worker');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), queues => '{}')$$, 'QF401', null, 'no queue');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), queues => null)$$, 'QF401', null, 'queues null');
select throws_ok(
  $$select quantumflow.claim_tasks(gen_random_uuid(), queues => '{nowhere}')$$,
  'QF401', 'queue "nowhere" does not exist', 'an unknown queue');
select throws_ok(
  $$select quantumflow.claim_tasks(gen_random_uuid(), queues => array_fill('quantum_flow_queue'::text, array[1001]))$$,
  'QF302', 'a worker serves at most 1000 queues and 10000 commands', '1,001 queues');
select throws_ok(
  $$select quantumflow.claim_tasks(gen_random_uuid(), commands => array_fill('a'::text, array[10001]))$$, 'QF302', null, '10,001 commands');
select throws_ok(
  $$select quantumflow.register_worker(gen_random_uuid(), 'me', array_fill('a'::text, array[10001]), '{quantum_flow_queue}')$$,
  'QF302', null, 'nor does a worker register with them');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), queues => '{NULL}')$$, 'QF401', null, 'a null queue');
select lives_ok($$select quantumflow.claim_tasks(gen_random_uuid(), 10000, lease => '1 day')$$, 'the highest of each');
select lives_ok($$select quantumflow.claim_tasks(gen_random_uuid(), 1, lease => '1 ms')$$, 'the lowest of each');

select * from finish();
rollback;
