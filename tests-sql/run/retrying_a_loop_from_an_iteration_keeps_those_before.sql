begin;
select plan(13);

select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [
  {"name": "a"},
  {"name": "l", "type": "loop", "dependencies": ["a"], "if": "$.a == 1", "until": "$.last == 9", "max_iterations": 10, "keep": 3},
  {"name": "z", "dependencies": ["l"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '1');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', n, to_jsonb(n)) from generate_series(0, 9) n;
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'z');

select throws_ok(
  format($$select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', %L, %s)$$, step, n), 'QF221', message, message)
from (
  values
    (null, 1, 'step "null" has no iteration 1'),
    ('a', 1, 'step "a" has no iteration 1'),
    ('l', -1, 'step "l" has no iteration -1 to begin at'),
    ('l', 7, 'step "l" has no iteration 7 to begin at'),
    ('l', 10, 'step "l" has no iteration 10 to begin at')
) v (step, n, message);
select throws_ok(
  $$select quantumflow.retry_preview('10000000-0000-0000-0000-000000000001', 'l', 7)$$, 'QF221', null, 'the preview refuses it too');

select results_eq(
  $$select * from quantumflow.retry_preview('10000000-0000-0000-0000-000000000001', 'l', 9)$$,
  $$values ('l', 'completed', null::int, 2), ('z', 'completed', 1, 0)$$, 'what would be kept');
-- The gate is not asked again: it would skip it now.
update quantumflow.step_tasks set output = '2' where step_slug = 'a';
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', 'l', 9);
select results_eq(
  $$select step_slug, task_index, status, output from quantumflow.step_tasks where step_slug <> 'a' order by 1, 2$$,
  $$values ('l' collate "C", 7, 'completed', '7'::jsonb), ('l', 8, 'completed', '8'), ('l', 9, 'queued', null)$$, 'it begins at that iteration');
select results_eq(
  $$select status, initial_tasks, remaining_tasks from quantumflow.step_states where step_slug in ('l', 'z') order by step_slug$$,
  $$values ('started', 10, 1), ('created', 1, 1)$$, 'and what depends on the loop waits for it');
select results_eq(
  $$select task_index, fresh_since, input -> 'last' from quantumflow.claim_tasks(gen_random_uuid())$$, $$values (9, 1, '8'::jsonb)$$,
  'with what the one before had put out, as other work');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', 9, '9');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'z');
select is((select status from quantumflow.workflow_runs), 'completed', 'it goes on as ever');

-- What runs again before the loop makes all of it run again.
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', 'l', 0);
select results_eq(
  $$select task_index, status from quantumflow.step_tasks where step_slug = 'l'$$, $$values (0, 'queued')$$, 'from iteration 0 it is whole');

select * from finish();
rollback;
