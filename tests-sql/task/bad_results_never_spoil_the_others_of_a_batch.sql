begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "maps", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('maps', '[0, 1, 2]', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);

create temporary table results on commit drop as
select 1 as n, to_jsonb(c) || '{"output": 0}' as result, 'completed' as outcome from claimed c where task_index = 0
union all select 2, '5', 'stale'
union all select 3, 'null', 'stale'
union all select 4, '"text"', 'stale'
union all select 5, '[{"run_id": 1}]', 'stale'
union all select 6, '{}', 'stale'
union all select 7, to_jsonb(c) || '{"output": "again"}', 'duplicate' from claimed c where task_index = 0
union all select 8, to_jsonb(c) || '{"run_id": "nonsense"}', 'stale' from claimed c where task_index = 1
union all select 9, to_jsonb(c) || '{"run_id": {"a": 1}}', 'stale' from claimed c where task_index = 1
union all select 10, to_jsonb(c) || '{"run_id": "10000000-0000-0000-0000-000000000009"}', 'stale' from claimed c where task_index = 1
union all select 11, to_jsonb(c) || '{"step_slug": "x"}', 'stale' from claimed c where task_index = 1
union all select 12, to_jsonb(c) || '{"task_index": "x"}', 'stale' from claimed c where task_index = 1
union all select 13, to_jsonb(c) || '{"task_index": -1}', 'stale' from claimed c where task_index = 1
union all select 14, to_jsonb(c) || '{"task_index": 1.5}', 'stale' from claimed c where task_index = 1
union all select 15, to_jsonb(c) || '{"task_index": 99999999999}', 'stale' from claimed c where task_index = 1
union all select 16, to_jsonb(c) - 'task_index', 'stale' from claimed c where task_index = 1
union all select 17, to_jsonb(c) || '{"lease_token": 123456789012345678901234567890}', 'stale' from claimed c where task_index = 1
union all select 18, to_jsonb(c) || '{"lease_token": -1}', 'stale' from claimed c where task_index = 1
union all select 19, to_jsonb(c) || '{"lease_token": 1.5}', 'stale' from claimed c where task_index = 1
union all select 20, to_jsonb(c) || '{"lease_token": true}', 'stale' from claimed c where task_index = 1
union all select 21, to_jsonb(c) - 'lease_token', 'stale' from claimed c where task_index = 1
union all select 22, to_jsonb(c) || jsonb_build_object('output', 2, 'run_id', upper(run_id::text)), 'completed' from claimed c where task_index = 2
union all select 23, to_jsonb(c) || '{"output": "again"}', 'duplicate' from claimed c where task_index = 2;

select results_eq(
  'select o.outcome, o.n from quantumflow.complete_tasks((select jsonb_agg(result order by n) from results))
     with ordinality o (run_id, step_slug, task_index, outcome, reason, detail, n)',
  'select outcome, row_number() over (order by n) from results',
  'each has its outcome, in the order of the results');
select results_eq(
  'select task_index, status, output from quantumflow.step_tasks order by 1',
  $$values (0, 'completed', '0'::jsonb), (1, 'started', null), (2, 'completed', '2')$$,
  'only the good ones are recorded, of two of a kind the first');
select is((select remaining_tasks from quantumflow.step_states), 1, 'and counted');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 1, 'the message of the task that is left stays');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select results_eq(
  $$select o.outcome from quantumflow.fail_tasks((
      select jsonb_agg(result order by n) from results where n not in (1, 7, 22, 23))) o$$,
  'select outcome from results where n not in (1, 7, 22, 23) order by n',
  'failures alike');
select is_empty('select from quantumflow.task_failures', 'nothing was recorded');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
