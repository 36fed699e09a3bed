begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "l", "type": "loop", "until": "$.last == 9", "max_iterations": 9}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid());
select quantumflow.pause_run('10000000-0000-0000-0000-000000000001');

select results_eq(
  $$select outcome from quantumflow.complete_and_claim(gen_random_uuid(), (select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g))$$,
  $$values ('completed')$$, 'an iteration that goes on is reported, and nothing is handed out');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select results_eq(
  'select task_index, status, queued_at from quantumflow.step_tasks where task_index = 1',
  $$values (1, 'queued', '2030-01-01 00:00:00+00'::timestamptz)$$, 'the next is made');
select is((select vt from pgmq.q_quantum_flow_queue), 'infinity'::timestamptz, 'and sleeps');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.resume_run('10000000-0000-0000-0000-000000000001');
select is((select vt from pgmq.q_quantum_flow_queue), '2030-01-01 00:00:00+00'::timestamptz, 'it wakes when it was due');

-- A report alone, beside which nobody claims.
select quantumflow.start_flow('w', run_id => '20000000-0000-0000-0000-000000000002');
create temporary table other as
select * from quantumflow.claim_tasks(gen_random_uuid(), 2) c where c.run_id = '20000000-0000-0000-0000-000000000002';
select quantumflow.pause_run('20000000-0000-0000-0000-000000000002');
select outcome from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(o) || '{"output": 1}') from other o));
select is(
  (select q.vt from pgmq.q_quantum_flow_queue q where q.message ->> 'workflow_run_id' = '20000000-0000-0000-0000-000000000002'),
  'infinity'::timestamptz, 'the next is made asleep');
select quantumflow.delete_run(r.id) from quantumflow.cancel_run('20000000-0000-0000-0000-000000000002') r;

-- A cancellation ends it.
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select results_eq('select task_index, status from quantumflow.step_tasks order by 1', $$values (0, 'completed'), (1, 'cancelled')$$, 'or is cancelled');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
