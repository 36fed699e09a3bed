begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 20, "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"], "args": {"x": 1}}]}');
select quantumflow.start_flow('w', '"in"', run_id => '10000000-0000-0000-0000-000000000001', headers => '{"h": 1}');
create temp table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001');

create temp table answer as
select x.*
from quantumflow.complete_and_claim(
  '20000000-0000-0000-0000-000000000001',
  -- Beside one that names nothing: a result alone may go another way.
  (select jsonb_agg(to_jsonb(c) || '{"output": 7}') || '[{}]' from claimed c)) x;

select results_eq(
  'select outcome, step_slug from answer where outcome is not null',
  $$values ('completed', 'a'), ('stale', null)$$,
  'the result is recorded');
select results_eq(
  'select step_slug, task_index, command, args, input, attempt, max_attempts, lease_expires_at, deadline, queue, headers, losses, step_type
   from answer where outcome is null',
  $$values (
    'b', 0, 'b', '{"x": 1}'::jsonb, '{"run": "in", "a": 7}'::jsonb, 1, 3,
    '2030-01-01 00:00:20+00'::timestamptz, '2030-01-01 00:00:20+00'::timestamptz, 'quantum_flow_queue', '{"h": 1}'::jsonb, 0, 'single')$$,
  'and what it made ready comes back, as a claim would hand it out');
select results_eq(
  $$select t.status, t.attempts, t.worker_id, t.started_at, t.lease_token = a.lease_token
  from quantumflow.step_tasks t
  join answer a using (run_id, step_slug)
  where t.step_slug = 'b' and a.outcome is null$$,
  $$values ('started', 1, '20000000-0000-0000-0000-000000000001'::uuid, '2030-01-01 00:00:00+00'::timestamptz, true)$$,
  'it was born started');
select results_eq(
  'select vt from pgmq.q_quantum_flow_queue', $$values ('2030-01-01 00:00:20+00'::timestamptz)$$, 'its message is its lease');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select is(quantumflow.complete_task(run_id, step_slug, lease_token => lease_token), 'completed', 'its token counts')
from answer
where outcome is null;
select is((select status from quantumflow.workflow_runs), 'completed', 'the run is completed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken at the end');

select * from finish();
rollback;
