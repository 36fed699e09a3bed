begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow((
  select jsonb_build_object('slug', 'w', 'on_complete', 'done', 'steps', jsonb_agg(
    jsonb_build_object('name', 's' || i, 'type', 'map')
    || case when i > 1 then jsonb_build_object('dependencies', jsonb_build_array('s' || i - 1)) else '{}' end))
  from generate_series(1, 60) i));
select quantumflow.start_flow('w', '[]', run_id => '10000000-0000-0000-0000-000000000001');

select results_eq(
  'select status, remaining_steps, output, completed_at from quantumflow.workflow_runs',
  $$values ('completed', 0, '{"s60": []}'::jsonb, '2030-01-01 00:00:00+00'::timestamptz)$$,
  'the run ends as it starts');
select results_eq(
  'select status, initial_tasks, remaining_tasks, output, count(*)::int from quantumflow.step_states group by 1, 2, 3, 4',
  $$values ('completed', 0, 0, '[]'::jsonb, 60)$$,
  'every step is completed with an empty array');
select results_eq(
  'select step_slug from quantumflow.step_tasks', $$values ('_on_complete' collate "C")$$, 'there is no task but the callback');
select results_eq(
  'select input from quantumflow.claim_tasks(gen_random_uuid(), 9)',
  $$values ('{"run": [], "output": {"s60": []}}'::jsonb)$$,
  'which is told the output');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
