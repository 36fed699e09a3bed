begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"},
  {"name": "b", "dependencies": ["a"], "if": "$.a.n > 1", "on_error": "continue"},
  {"name": "c", "dependencies": ["a"], "if": "$.a.n > 1", "otherwise": "fail", "fallback": null},
  {"name": "d", "type": "map", "dependencies": ["a"], "map_over": "a", "if": "$.run.x == 1", "fallback": [7]},
  {"name": "e", "dependencies": ["b", "c", "d"], "join": "any", "if": "$status.b == \"failed\""}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[]');

select results_eq(
  'select step_slug, status, output, initial_tasks, remaining_tasks from quantumflow.step_states order by 1',
  $$values
    ('a' collate "C", 'completed', null::jsonb, 1, 0), ('b', 'failed', null, 1, 1), ('c', 'completed', 'null', 1, 0),
    ('d', 'completed', '[7]', 0, 0), ('e', 'started', null, 1, 1)$$,
  'by on_error or a fallback, a JSON null too');
select is(
  (select input from quantumflow.claim_tasks(gen_random_uuid())), '{"run": {}, "c": null, "d": [7]}'::jsonb,
  'a fallback is handed over as any output');
select is((select count(*) from quantumflow.task_failures where kind = 'condition'), 3::bigint, 'each is in the history');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'e');
select results_eq('select status, gave_up from quantumflow.workflow_runs', $$values ('completed', 3)$$, 'and the run counts what it gave up');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
