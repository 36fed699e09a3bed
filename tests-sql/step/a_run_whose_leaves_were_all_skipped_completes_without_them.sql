begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "on_complete": "done", "steps": [{"name": "a", "if": "$.run.x == 1"}, {"name": "b", "dependencies": ["a"]}]}');

select quantumflow.start_flow('w', '{"x": 2}', run_id => '10000000-0000-0000-0000-000000000001');

select results_eq(
  'select status, output, remaining_steps from quantumflow.workflow_runs',
  $$values ('completed', '{}'::jsonb, 0)$$,
  'in the call that starts it');
select results_eq(
  'select step_slug, input from quantumflow.claim_tasks(gen_random_uuid(), 10)',
  $$values ('_on_complete', '{"run": {"x": 2}, "output": {}}'::jsonb)$$,
  'and its callback is made');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
