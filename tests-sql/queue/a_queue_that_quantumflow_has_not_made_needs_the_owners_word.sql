begin;
select plan(8);

select pgmq.create('billing');
select quantumflow.setup();
prepare define as select version from quantumflow.define_flow('{"slug": "w", "queue": "billing", "steps": [{"name": "a"}]}');

select throws_ok('define', 'QF403', 'queue "billing" is not one of quantumflow''s', 'a workflow cannot use it, though it is empty');
select throws_ok(
  $$select from quantumflow.claim_tasks(gen_random_uuid(), queues => '{billing}')$$,
  'QF403', 'queue "billing" is not one of quantumflow''s', 'nor can a worker');
select throws_ok(
  $$select from quantumflow.register_worker(gen_random_uuid(), 'w', null, '{billing}')$$,
  'QF403', 'queue "billing" is not one of quantumflow''s', 'not even by saying that it would');
select pgmq.send('billing', '{"invoice": 1}');
select count(*) from quantumflow.rebuild_queues();
select is((select count(*)::int from pgmq.q_billing), 1, 'nobody takes its messages');
select pgmq.purge_queue('billing');

insert into quantumflow.queues (queue) values ('billing');
select lives_ok('define', 'once the owner has said so it is as any');
delete from quantumflow.queues;
select quantumflow.start_flow('w');
select is((select count(*)::int from quantumflow.claim_tasks(gen_random_uuid(), queues => '{billing}')), 1, 'and stays so');

select quantumflow.define_flow('{"slug": "v", "queue": "ours", "steps": [{"name": "a"}]}');
select quantumflow.delete_flow('v');
select lives_ok(
  $$select quantumflow.define_flow('{"slug": "v", "queue": "ours", "steps": [{"name": "a"}]}')$$,
  'one that quantumflow has made is its own, though no workflow has named it for a while');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
