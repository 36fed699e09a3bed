begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "list", "fallback": [1, 2], "max_attempts": 1},
  {"name": "each", "type": "map", "dependencies": ["list"]},
  {"name": "leaf", "fallback": {"none": true}, "max_attempts": 1},
  {"name": "nothing", "fallback": null, "max_attempts": 1}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

select is(quantumflow.fail_task('10000000-0000-0000-0000-000000000001', s, error_message => 'down'), 'failed', s)
from unnest('{list,leaf,nothing}'::text[]) s;
select results_eq(
  $$select step_slug, s.status, s.output, s.error_message, t.status, t.error_message
    from quantumflow.step_states s join quantumflow.step_tasks t using (run_id, step_slug) where step_slug <> 'each' order by 1$$,
  $$values
    ('leaf' collate "C", 'completed', '{"none": true}'::jsonb, 'down', 'failed', 'down'),
    ('list', 'completed', '[1, 2]', 'down', 'failed', 'down'), ('nothing', 'completed', 'null', 'down', 'failed', 'down')$$,
  'the step is completed, the failed task stays, and both say why');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', n, output => to_jsonb(n)) from generate_series(0, 1) n;
select results_eq(
  $$select status, output, gave_up, quantumflow.step_output(id, 'list') from quantumflow.workflow_runs$$,
  $$values ('completed', '{"each": [0, 1], "leaf": {"none": true}, "nothing": null}'::jsonb, 3, '[1, 2]'::jsonb)$$,
  'a map maps over it, the run''s output has it');
select is((select count(*) from quantumflow.task_failures), 3::bigint, 'the history has the failures');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
