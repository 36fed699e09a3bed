begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "m", "type": "map"}, {"name": "join", "dependencies": ["a", "b", "c", "m"]}]}');
select quantumflow.start_flow('w', '[1, 2]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.start_flow('w', '[]', run_id => '10000000-0000-0000-0000-000000000002');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 1);
select outcome from quantumflow.complete_tasks('[
  {"run_id": "10000000-0000-0000-0000-000000000002", "step_slug": "a", "task_index": 0, "lease_token": null},
  {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "c", "task_index": 0, "lease_token": null},
  {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "b", "task_index": 0, "lease_token": null}]');
select results_eq(
  'select right(run_id::text, 1), status, remaining_deps from quantumflow.step_states where step_slug = ''join'' order by 1',
  $$values ('1', 'created', 1), ('2', 'created', 2)$$,
  'not before the last one');
select is_empty('select from quantumflow.step_tasks where step_slug = ''join''', 'nothing is queued for it');
select outcome from quantumflow.complete_tasks('[
  {"run_id": "10000000-0000-0000-0000-000000000002", "step_slug": "b", "task_index": 0, "lease_token": null},
  {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "m", "task_index": 0, "lease_token": null},
  {"run_id": "10000000-0000-0000-0000-000000000002", "step_slug": "c", "task_index": 0, "lease_token": null}]');

select results_eq(
  'select right(run_id::text, 1), status, remaining_deps from quantumflow.step_states where step_slug = ''join'' order by 1',
  $$values ('1', 'started', 0), ('2', 'started', 0)$$,
  'then it starts, whether they end one by one or together');
select results_eq(
  'select right(run_id::text, 1), task_index from quantumflow.step_tasks where step_slug = ''join'' order by 1',
  $$values ('1', 0), ('2', 0)$$, 'with one task');
select results_eq(
  $$select message ->> 'step_name', count(*)::int from pgmq.q_quantum_flow_queue group by 1$$,
  $$values ('join', 2)$$, 'and one message each');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
