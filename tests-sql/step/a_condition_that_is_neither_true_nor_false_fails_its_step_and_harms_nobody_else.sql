begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_failure": "told", "steps": [
  {"name": "a", "on_error": "continue"},
  {"name": "b", "dependencies": ["a"], "if": "$.a.n > 1"},
  {"name": "beside", "dependencies": ["a"]},
  {"name": "c", "dependencies": ["b"]}]}');
select quantumflow.start_flow('w', run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(1, 3) n;
create temporary table given as select * from quantumflow.claim_tasks(gen_random_uuid(), 3);

select results_eq(
  $$select outcome from quantumflow.complete_tasks((
    select jsonb_agg(to_jsonb(g) || jsonb_build_object('output', case g.run_id
      when '10000000-0000-0000-0000-000000000001' then '{"n": 2}' when '10000000-0000-0000-0000-000000000002' then '{"N": 2}' else '{"n": 0}' end::jsonb) order by run_id) from given g))$$,
  $$values ('completed'), ('completed'), ('completed')$$,
  'the result is kept');
select results_eq(
  $$select right(run_id::text, 1)::int, step_slug, status, skip_reason from quantumflow.step_states where step_slug <> 'a' order by 1, 2$$,
  $$values
    (1, 'b' collate "C", 'started', null), (1, 'beside', 'started', null), (1, 'c', 'created', null),
    (2, 'b', 'failed', null), (2, 'beside', 'cancelled', null), (2, 'c', 'cancelled', null),
    (3, 'b', 'skipped', 'condition'), (3, 'beside', 'started', null), (3, 'c', 'skipped', 'dependency')$$,
  'unknown is a failure, never false');
select results_eq(
  $$select step_slug, task_index, retries, attempt, kind, reported, ended_at from quantumflow.task_failures$$,
  $$values ('b' collate "C", 0, 0, 0, 'condition', false, '2030-01-01 00:00:00+00'::timestamptz)$$,
  'its history has it as attempt 0');
select matches(
  (select error_message from quantumflow.workflow_runs where status = 'failed'),
  '^step b: its condition is neither true nor false, .*: strict \$\.a\.n > 1$', 'and the run says why');
select is_empty($$select from quantumflow.step_tasks where run_id = '10000000-0000-0000-0000-000000000002' and step_slug in ('b', 'beside', 'c')$$, 'nothing else of the run started');
select is(
  (select input - 'error' #- '{failure,message}' from quantumflow.claim_tasks(gen_random_uuid(), 10) where step_slug = '_on_failure'),
  '{"run": {}, "failure": {"step_slug": "b", "task_index": 0, "attempt": 0, "kind": "condition"}}'::jsonb,
  'on_failure is told its kind');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
