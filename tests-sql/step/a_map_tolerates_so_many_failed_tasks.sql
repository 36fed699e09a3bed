begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "m", "type": "map", "tolerate": 2, "max_attempts": 1},
  {"name": "sum", "dependencies": ["m"]}]}');
select quantumflow.start_flow('w', '["a", "b", "c", "d"]', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 4);

select results_eq(
  $$select task_index, outcome, reason, detail from quantumflow.fail_tasks((
    select jsonb_agg(to_jsonb(g) || '{"error_message": "no"}' order by task_index) from got g where task_index in (1, 3)))$$,
  $$values (1, 'failed', 'tolerated', 'no'), (3, 'failed', 'tolerated', 'no')$$,
  'the tasks have failed');
select results_eq(
  $$select s.status, s.remaining_tasks, s.failed_tasks, r.gave_up from quantumflow.step_states s, quantumflow.workflow_runs r where step_slug = 'm'$$,
  $$values ('started', 2, 2, 2)$$,
  'and count as done');
select quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || jsonb_build_object('output', task_index)) from got g where task_index in (0, 2)));
select is((select output from quantumflow.step_states where step_slug = 'm'), '[0, null, 2, null]', 'their places are null');
select results_eq(
  $$select * from quantumflow.failed_items('10000000-0000-0000-0000-000000000001', 'm')$$, $$values (1, 1, 'error', 'no'), (3, 3, 'error', 'no')$$,
  'and have a row each');
select throws_ok($$select quantumflow.failed_items('10000000-0000-0000-0000-000000000002', 'm')$$, 'QF201');
select throws_ok($$select quantumflow.failed_items('10000000-0000-0000-0000-000000000001', 'x')$$, 'QF307');
select is((select input from quantumflow.claim_tasks(gen_random_uuid())), '{"run": ["a", "b", "c", "d"], "m": [0, null, 2, null]}'::jsonb, 'what waits is handed the rest');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
