begin;
select plan(15);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"},
  {"name": "l", "type": "loop", "dependencies": ["a"], "until": "$.last.score >= $.a.enough", "max_iterations": 5, "delay": 60, "start_delay": 5},
  {"name": "z", "dependencies": ["l"]}]}');
select quantumflow.start_flow('w', '{"x": 1}', run_id => '10000000-0000-0000-0000-000000000001', priority => 3);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '{"enough": 9}');

set local quantumflow.now = '2030-01-01 00:00:05+00';
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid());
select results_eq(
  'select step_slug, task_index, step_type, input from got',
  $$values ('l', 0, 'loop', '{"run": {"x": 1}, "a": {"enough": 9}, "iteration": 0, "last": null}'::jsonb)$$,
  'the first iteration is given what there is, and null as the last output');

-- It fails once, and is tried again like any other task.
select is(
  (select outcome from got g, quantumflow.fail_tasks(jsonb_build_array(to_jsonb(g) || '{"error_message": "no", "retry_after": 0}'))),
  'retrying', 'an iteration has attempts of its own');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', 0, '{"score": 3}');
select results_eq(
  $$select task_index, status, queued_at, attempts from quantumflow.step_tasks where step_slug = 'l' order by 1$$,
  $$values (0, 'completed', '2030-01-01 00:00:05+00'::timestamptz, 1), (1, 'queued', '2030-01-01 00:01:05+00', 0)$$,
  'its end makes the next, after the delay');
select results_eq(
  $$select message ->> 'task_index', vt from pgmq.q_quantum_flow_queue$$, $$values ('1', '2030-01-01 00:01:05+00'::timestamptz)$$,
  'with its message');
select results_eq(
  $$select status, initial_tasks, remaining_tasks, output from quantumflow.step_states where step_slug = 'l'$$,
  $$values ('started', 2, 1, null::jsonb)$$, 'the step goes on');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select is(
  (select (s -> 'iterations')::text || ' of ' || (s -> 'max_iterations')
   from jsonb_array_elements(quantumflow.status('10000000-0000-0000-0000-000000000001') -> 'steps') s where s ->> 'step_slug' = 'l'),
  '2 of 5', 'status tells how far it is');

set local quantumflow.now = '2030-01-01 00:01:05+00';
select is(
  (select input from quantumflow.claim_tasks(gen_random_uuid())),
  '{"run": {"x": 1}, "a": {"enough": 9}, "iteration": 1, "last": {"score": 3}}'::jsonb, 'the next is given what the one before put out');
select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', 0, '{"score": 9}'), 'duplicate', 'an iteration ends once');
select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', 1, '{"score": 9}'), 'completed', 'the last one');
select results_eq(
  $$select status, initial_tasks, remaining_tasks, output from quantumflow.step_states where step_slug = 'l'$$,
  $$values ('completed', 2, 0, '{"score": 9}'::jsonb)$$, 'ends the loop, whose output is its own');
select is(
  (select input from quantumflow.claim_tasks(gen_random_uuid())), '{"run": {"x": 1}, "l": {"score": 9}}'::jsonb, 'which is handed over');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'z');
select results_eq(
  $$select what, task_index, attempt, detail from quantumflow.timeline('10000000-0000-0000-0000-000000000001')
    where step_slug = 'l' and what like 'step%'$$,
  $$values ('step started', null::int, null::int, null), ('step completed', null, null, 'after 2 iterations')$$, 'the timeline has it');
select results_eq(
  $$select task_index, attempt, outcome from quantumflow.list_attempts('10000000-0000-0000-0000-000000000001', 'l')$$,
  $$values (0, 1, 'failed'), (0, 1, 'completed'), (1, 1, 'completed')$$, 'each iteration''s attempts are there');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
