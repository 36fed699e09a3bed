begin;
select plan(5);

select pgmq.create('billing');
select pgmq.send('billing', '{"invoice": 1}');
select quantumflow.setup();

select throws_ok(
  $$select quantumflow.define_flow('{"slug": "w", "queue": "billing", "steps": [{"name": "a"}]}')$$,
  'QF403', 'queue "billing" holds messages of somebody else', 'a workflow cannot use it');
select throws_ok(
  $$select quantumflow.claim_tasks(gen_random_uuid(), queues => '{billing}')$$,
  'QF403', 'queue "billing" is not one of quantumflow''s', 'nor can a worker claim from it');
select is((select count(*)::int from pgmq.q_billing), 1, 'the message stays');
select is((select count(*)::int from pgmq.a_billing), 0, 'and is not archived');

select quantumflow.define_flow('{"slug": "w", "queue": "ours", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
select lives_ok(
  $$select quantumflow.define_flow('{"slug": "v", "queue": "ours", "steps": [{"name": "a"}]}')$$,
  'one with messages of ours can be shared');

select * from finish();
rollback;
