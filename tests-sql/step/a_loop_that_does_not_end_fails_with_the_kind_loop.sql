begin;
select plan(9);

select quantumflow.define_flow('{"slug": "w", "on_failure": "tell", "steps": [
  {"name": "l", "type": "loop", "while": "$.last < 9 && $iteration < 100", "max_iterations": 2}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', n, to_jsonb(n)) from generate_series(0, 1) n;

select results_eq(
  'select status, error_message from quantumflow.workflow_runs',
  $$values ('failed',
    'step l: it has had 2 iterations, and may have 2 (max_iterations); it does not end by: strict $.last < 9 && $iteration < 100')$$,
  'as many iterations as it may have, and no end, fail it');
select results_eq(
  $$select task_index, status from quantumflow.step_tasks where step_slug = 'l' order by 1$$,
  $$values (0, 'completed'), (1, 'completed')$$, 'no iteration has failed');
select results_eq(
  'select step_slug, task_index, attempt, kind from quantumflow.task_failures', $$values ('l' collate "C", 1, 0, 'loop')$$, 'the history has its kind');
select is(
  (select input #- '{failure,message}' -> 'failure' from quantumflow.claim_tasks(gen_random_uuid())),
  '{"step_slug": "l", "task_index": 1, "attempt": 0, "kind": "loop"}'::jsonb, 'and on_failure is told');

-- Its run may go on.
select quantumflow.define_flow('{"slug": "v", "steps": [
  {"name": "f", "type": "loop", "until": "$.last == 9", "max_iterations": 1, "fallback": [7]},
  {"name": "c", "type": "loop", "until": "$.last.typo == 9", "max_iterations": 5, "on_error": "continue"},
  {"name": "m", "type": "map", "dependencies": ["f"], "after": ["c"]}]}');
select quantumflow.start_flow('v', run_id => '20000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('20000000-0000-0000-0000-000000000001', s, 0, '1') from unnest('{f,c}'::text[]) s;
select results_eq(
  $$select step_slug, status, initial_tasks, remaining_tasks, output from quantumflow.step_states
    where run_id = '20000000-0000-0000-0000-000000000001' order by 1$$,
  $$values ('c' collate "C", 'failed', 1, 0, null::jsonb), ('f', 'completed', 1, 0, '[7]'), ('m', 'started', 1, 1, null)$$,
  'by a fallback, or without it');
select results_eq(
  $$select step_slug, kind, error_message from quantumflow.task_failures where run_id = '20000000-0000-0000-0000-000000000001' order by 1$$,
  $$values
    ('c' collate "C", 'condition', 'after iteration 0 its condition is neither true nor false, $.last.typo is not there: jsonpath member accessor can only be applied to an object: strict $.last.typo == 9'),
    ('f', 'loop', 'it has had 1 iterations, and may have 1 (max_iterations); it does not end by: strict $.last == 9')$$,
  'a condition that is unknown is a failure, and no end');
select is((select gave_up from quantumflow.workflow_runs where workflow_slug = 'v'), 2, 'both are counted');

-- What fails a run in a batch leaves nothing of it.
select quantumflow.define_flow('{"slug": "u", "steps": [
  {"name": "f", "type": "loop", "until": "$.last == 9", "max_iterations": 1},
  {"name": "g", "type": "loop", "until": "$.last == 9", "max_iterations": 5}]}');
select quantumflow.start_flow('u', run_id => '30000000-0000-0000-0000-000000000001');
select is(
  (select array_agg(distinct o.outcome) from (
    select jsonb_agg(to_jsonb(c) || '{"output": 1}') as results from quantumflow.claim_tasks(gen_random_uuid(), 10) c where c.workflow_slug = 'u') c,
    quantumflow.complete_tasks(c.results) o),
  '{completed}', 'two iterations of one run are reported at once, of which one is too many');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
