begin;
select plan(16);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "round", "max_attempts": 1, "steps": [{"name": "draft"}, {"name": "judge", "dependencies": ["draft"]}]}');
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"},
  {"name": "l", "type": "loop", "flow": "round", "dependencies": ["a"], "input": {"n": "$.iteration", "before": "$.last", "topic": "$.a"},
    "output": "$.judge", "until": "$.last.score >= 2", "max_iterations": 3, "delay": 60},
  {"name": "z", "dependencies": ["l"]}]}');
select results_eq(
  $$select command, queue, settled, plain, repeats, known_tasks, child_flow from quantumflow.workflow_steps where step_slug = 'l'$$,
  $$values ('flow', 'quantum_flow_system', true, false, true, null::int, 'round' collate "C")$$, 'no worker is given its tasks');
select set_eq(
  $$select code, path from quantumflow.validate_flow('{"slug": "x", "steps": [
    {"name": "l", "type": "loop", "flow": "round", "command": "c", "retry_delay": 1, "until": "$.last == 1", "max_iterations": 3,
      "input": "$.lost", "max_children": 3},
    {"name": "m", "type": "loop", "input": 1, "until": "$.last == 1", "max_iterations": 3}]}')$$,
  $$values
    ('QF117', 'steps[0].input'), ('QF118', 'steps[0].command'), ('QF118', 'steps[0].max_children'), ('QF118', 'steps[0].retry_delay'),
    ('QF118', 'steps[1].input')$$,
  'it starts runs, or workers do it');

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '"loops"');
select quantumflow.settle();
create view pg_temp.child as
select distinct on (parent_task_index) * from quantumflow.workflow_runs where parent_run_id is not null order by parent_task_index, parent_retries desc;
select results_eq(
  'select parent_task_index, input, status from child', $$values (0, '{"n": 0, "before": null, "topic": "loops"}'::jsonb, 'started')$$,
  'the first iteration starts a run');

create function pg_temp.play(p_index int, p_score int) returns void language plpgsql as $$
declare
  v_child uuid := (select id from pg_temp.child where parent_task_index = p_index);
begin
  perform quantumflow.complete_task(v_child, 'draft');
  perform quantumflow.complete_task(v_child, 'judge', output => jsonb_build_object('score', p_score));
end
$$;

select pg_temp.play(0, 0);
select results_eq(
  $$select task_index, status, queued_at, output from quantumflow.step_tasks where step_slug = 'l' order by 1$$,
  $$values
    (0, 'completed', '2030-01-01 00:00:00+00'::timestamptz, '{"score": 0}'::jsonb), (1, 'queued', '2030-01-01 00:01:00+00', null)$$,
  'its end makes the next iteration, after the delay');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select results_eq('select settled from quantumflow.settle()', 'values (0)', 'not before');
set local quantumflow.now = '2030-01-01 00:01:00+00';
select quantumflow.settle();
select results_eq(
  'select parent_task_index, input, status from child',
  $$values
    (0, '{"n": 0, "before": null, "topic": "loops"}'::jsonb, 'completed'),
    (1, '{"n": 1, "before": {"score": 0}, "topic": "loops"}', 'started')$$,
  'and that another run');

-- One fails, and the retry of its parent goes on with it.
select quantumflow.fail_task(id, 'draft', 0, 'no') from child where parent_task_index = 1;
select results_eq(
  $$select r.status, f.kind from quantumflow.workflow_runs r join quantumflow.task_failures f on f.run_id = r.id
    where r.id = '10000000-0000-0000-0000-000000000001'$$,
  $$values ('failed', 'child')$$, 'a run that fails fails the iteration');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select quantumflow.settle();
select results_eq(
  'select parent_task_index, status, retries from child', $$values (0, 'completed', 0), (1, 'started', 1)$$, 'which a retry tries again in place');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select pg_temp.play(1, 1);
set local quantumflow.now = '2030-01-01 00:02:00+00';
select quantumflow.settle();
select pg_temp.play(2, 2);
select results_eq(
  $$select status, initial_tasks, output from quantumflow.step_states where step_slug = 'l'$$, $$values ('completed', 3, '{"score": 2}'::jsonb)$$,
  'the last one''s output is the loop''s');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'z');
select is((select status from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000001'), 'completed', 'and its run goes on');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- From an iteration on there are new runs.
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', 'l', 1);
select quantumflow.settle();
select results_eq(
  'select parent_task_index, status, input -> $$before$$ from child where parent_task_index < 2',
  $$values (0, 'completed', 'null'::jsonb), (1, 'started', '{"score": 0}')$$, 'from_iteration starts new ones');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select is((select array_agg(distinct status) from quantumflow.workflow_runs where status = 'started'), null, 'a cancellation takes the run along');

select * from finish();
rollback;
