begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
set local client_min_messages = error;
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "command": "c"}, {"name": "b"}, {"name": "lost", "command": "l"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select pgmq.send(queue_name => 'quantum_flow_queue', msg => m.message, headers => null::jsonb, delay => m.vt)
from (values
  ('{"not": "ours"}'::jsonb, '2029-01-01 00:00:00+00'::timestamptz),
  ('["list"]', '2029-01-01 00:00:00+00'),
  ('{"command": "made_up"}', '2029-01-01 00:00:00+00'),
  ('{"command": "made_up, too"}', '2029-01-01 00:00:00+00'),
  ('{"command": "not yet"}', '2031-01-01 00:00:00+00')) m (message, vt);
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{l}', lease => '1 s');
update pgmq.q_quantum_flow_queue set message = message - 'command' where message ->> 'step_name' in ('a', 'lost');
update pgmq.q_quantum_flow_queue set message = message || '{"command": "made_up"}' where message ->> 'step_name' = 'b';

set local quantumflow.now = '2030-01-01 00:00:02+00';
select is_empty(
  $$select from quantumflow.claim_tasks(gen_random_uuid(), 9, commands => '{b,c,l}')$$, 'claims of commands do not find it');
select lives_ok('select * from quantumflow.sweep()', 'a sweep does');
select is((select count(*)::int from pgmq.a_quantum_flow_queue), 4, 'what is nobody''s is in the archive, not lost');
select bag_eq(
  $$select message ->> 'step_name' as step, message ->> 'command' as command from pgmq.q_quantum_flow_queue$$,
  $$values ('a', 'c'), ('b', 'b'), ('lost', null), (null, 'not yet')$$, 'our messages are where they belong');
select lives_ok('select * from quantumflow.sweep()', 'a lease that had run out takes two');
select bag_eq(
  $$select step_slug, losses from quantumflow.claim_tasks(gen_random_uuid(), 2, commands => '{b,c}')$$,
  $$values ('a', 0), ('b', 0)$$, 'so they are claimed');

select * from finish();
rollback;
