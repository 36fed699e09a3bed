begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "command": "other"}, {"name": "b", "command": "mine"}]}');
select quantumflow.start_flow('w');

select results_eq(
  $$select step_slug from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{mine,unused}')$$,
  $$values ('b')$$,
  'only the commands asked for');
select results_eq(
  $$select t.status, t.attempts, t.worker_id, q.vt, q.read_ct
    from quantumflow.step_tasks t join pgmq.q_quantum_flow_queue q on q.msg_id = t.message_id where t.step_slug = 'a'$$,
  $$values ('queued', 0, null::uuid, '2030-01-01 00:00:01+00'::timestamptz, 0)$$,
  'the other is put back for a second');
select is_empty(
  $$select from quantumflow.claim_tasks(gen_random_uuid(), commands => '{other}')$$, 'for everybody');

set local quantumflow.now = '2030-01-01 00:00:20+00';
select is_empty($$select from quantumflow.claim_tasks(gen_random_uuid(), commands => '{NULL,none}')$$, 'a null among them is none');
select results_eq(
  $$select vt from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'a'$$,
  $$values ('2030-01-01 00:00:40+00'::timestamptz)$$,
  'then for as long as it has been queued');

set local quantumflow.now = '2030-01-01 02:00:00+00';
select is_empty($$select from quantumflow.claim_tasks(gen_random_uuid(), commands => '{unused}')$$, 'later');
select results_eq(
  $$select vt from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'a'$$,
  $$values ('2030-01-01 02:01:00+00'::timestamptz)$$,
  'at most for a minute');

set local quantumflow.now = '2030-01-01 02:01:00+00';
select results_eq(
  $$select step_slug, attempt from quantumflow.claim_tasks(gen_random_uuid(), commands => '{other}')$$,
  $$values ('a', 1)$$,
  'and who has a handler gets its first attempt');

select * from finish();
rollback;
