begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "maps", "on_complete": "done", "steps": [
  {"name": "first"}, {"name": "each", "type": "map", "dependencies": ["first"]}]}');
select quantumflow.start_flow(
  'maps', run_id => '10000000-0000-0000-0000-000000000001', headers => '{"traceparent": "00-aa-bb-01"}');
select quantumflow.start_flow('maps', run_id => '10000000-0000-0000-0000-000000000002');

select results_eq(
  $$select right(message ->> 'workflow_run_id', 1), headers from pgmq.q_quantum_flow_queue order by 1$$,
  $$values ('1', '{"traceparent": "00-aa-bb-01"}'::jsonb), ('2', null)$$,
  'the root''s message has them, another run''s has none');
select results_eq(
  $$select right(run_id::text, 1), headers from quantumflow.claim_tasks(gen_random_uuid(), 10) order by 1$$,
  $$values ('1', '{"traceparent": "00-aa-bb-01"}'::jsonb), ('2', null)$$,
  'a claim hands them out');

select count(*) from quantumflow.complete_tasks((
  select jsonb_agg(to_jsonb(t) || case right(t.run_id::text, 1) when '1' then '{"output": ["x", "y"]}'::jsonb else '{"output": ["z"]}' end)
  from quantumflow.step_tasks t));

select results_eq(
  $$select right(message ->> 'workflow_run_id', 1), message ->> 'task_index', headers
    from pgmq.q_quantum_flow_queue order by 1, 2$$,
  $$values
    ('1', '0', '{"traceparent": "00-aa-bb-01"}'::jsonb),
    ('1', '1', '{"traceparent": "00-aa-bb-01"}'),
    ('2', '0', null)$$,
  'each task of a map has its own run''s, though one call made them all');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 0);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 1);
select results_eq(
  $$select headers from pgmq.q_quantum_flow_queue where message ->> 'step_name' = '_on_complete'$$,
  $$values ('{"traceparent": "00-aa-bb-01"}'::jsonb)$$,
  'the callback has them');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
