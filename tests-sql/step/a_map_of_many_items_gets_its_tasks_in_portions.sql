begin;
select plan(7);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "list"}, {"name": "m", "type": "map", "dependencies": ["list"]}, {"name": "alone", "dependencies": ["list"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', headers => '{"h": 1}');
select is(
  quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => (
    select jsonb_agg(format('item %s', i) order by i) from generate_series(0, 40000) i)),
  'completed', 'a map of 40,001 items starts');

select results_eq(
  $$select count(*)::int, min(task_index), max(task_index), count(distinct message_id)::int,
      bool_and(item_value = to_jsonb(format('item %s', task_index)))
    from quantumflow.step_tasks where step_slug = 'm'$$,
  'values (40001, 0, 40000, 40001, true)', 'each item has its task, and each task its message');
select is((select remaining_tasks from quantumflow.step_states where step_slug = 'm'), 40001, 'the step counts them');
select is(
  (select count(*)::int from quantumflow.step_tasks where step_slug = 'alone'), 1, 'a step that became ready with it has one task');
select is(
  (select count(*)::int from pgmq.q_quantum_flow_queue where headers = '{"h": 1}'), 40002, 'every message has the headers');

-- Items that a retry kept get no second task.
select count(*) from (select quantumflow.claim_tasks(gen_random_uuid(), 10000) from generate_series(1, 5)) c;
select quantumflow.complete_tasks((
  select jsonb_agg(to_jsonb(t) || '{"output": 1}') from quantumflow.step_tasks t where step_slug = 'm' and task_index < 30000));
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq(
  $$select status, count(*)::int, min(task_index), max(task_index) from quantumflow.step_tasks where step_slug = 'm' group by 1 order by 1$$,
  $$values ('completed', 30000, 0, 29999), ('queued', 10001, 30000, 40000)$$, 'a retry makes those that were not completed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
