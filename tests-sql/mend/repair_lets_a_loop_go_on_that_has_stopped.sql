begin;
select plan(6);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "l", "type": "loop", "until": "$.last == 2", "max_iterations": 9}, {"name": "z", "dependencies": ["l"]}]}');
select quantumflow.start_flow('w', run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(1, 2) n;
update quantumflow.step_tasks set status = 'completed', output = right(run_id::text, 1)::jsonb, completed_at = now();
delete from pgmq.q_quantum_flow_queue;

select set_eq(
  'select rule, run_id, remedy from quantumflow.check_state()',
  $$values
    (3, '10000000-0000-0000-0000-000000000001'::uuid, 'recount'), (3, '10000000-0000-0000-0000-000000000002', 'recount'),
    (8, '10000000-0000-0000-0000-000000000001', 'complete it'), (8, '10000000-0000-0000-0000-000000000002', 'complete it')$$,
  'an iteration has ended, and nobody has asked what then');
select quantumflow.repair(false);
select results_eq(
  $$select run_id, status, initial_tasks, remaining_tasks from quantumflow.step_states where step_slug = 'l' order by 1$$,
  $$values ('10000000-0000-0000-0000-000000000001'::uuid, 'started', 2, 1), ('10000000-0000-0000-0000-000000000002', 'completed', 1, 0)$$,
  'one goes on, and one ends');
select results_eq(
  $$select right(run_id::text, 1), step_slug, task_index from quantumflow.step_tasks where status = 'queued' order by 1$$,
  $$values ('1', 'l' collate "C", 1), ('2', 'z', 0)$$, 'each with what comes then');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- Rule 13.
update quantumflow.step_tasks set task_index = 3 where step_slug = 'l' and task_index = 0 and run_id = '10000000-0000-0000-0000-000000000001';
select set_has(
  'select rule, problem from quantumflow.check_state()',
  $$values (13, 'of the iterations 1 to 3 there are 2'), (13, '1 iterations go on, and one may')$$, 'iterations follow each other');
update quantumflow.step_states set output = '7' where step_slug = 'l' and status = 'completed';
select set_has(
  'select rule, problem from quantumflow.check_state()', $$values (5, 'the output of the loop is not its last iteration''s')$$,
  'and the output is the last one''s');

select * from finish();
rollback;
