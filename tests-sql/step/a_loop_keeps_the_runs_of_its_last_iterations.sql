begin;
select plan(6);

select quantumflow.define_flow('{"slug": "leaf", "steps": [{"name": "x"}]}');
select quantumflow.define_flow('{"slug": "round", "on_complete": "note", "steps": [{"name": "y", "type": "flow", "flow": "leaf", "output": "$.x"}]}');
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "l", "type": "loop", "flow": "round", "output": "$.y", "until": "$iteration == 4", "max_iterations": 9, "keep": 2}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create function pg_temp.play() returns void language plpgsql as $$
begin
  perform quantumflow.settle();
  perform quantumflow.settle();
  perform quantumflow.complete_task(t.run_id, 'x') from quantumflow.step_tasks t where t.step_slug = 'x' and t.status = 'queued';
  perform quantumflow.settle();
end
$$;

select pg_temp.play() from generate_series(1, 4);
select results_eq(
  $$select parent_task_index, count(*) from quantumflow.workflow_runs where workflow_slug = 'round' group by 1 order by 1$$,
  $$values (0, 1::bigint), (1, 1), (2, 1), (3, 1), (4, 1)$$, 'those whose callbacks are to be done stay');
select is((select count(*) from quantumflow._unkept_runs), 2::bigint, 'they are noted');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.complete_task(t.run_id, '_on_complete') from quantumflow.step_tasks t where t.step_slug = '_on_complete';
select quantumflow.settle();
select results_eq(
  $$select parent_task_index from quantumflow.workflow_runs where workflow_slug = 'round' order by 1$$, 'values (2), (3), (4)',
  'then those are deleted whose iterations are not kept');
select is((select count(*) from quantumflow.workflow_runs where workflow_slug = 'leaf'), 3::bigint, 'with what is below them');
select is_empty('select * from quantumflow.check_state() union all select 0, run_id, null, null, null, null, null, null from quantumflow._unkept_runs',
  'no rule is broken, and nothing is left to do');

select * from finish();
rollback;
