begin;
select plan(7);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "l", "type": "loop", "until": "$.last == 9", "max_iterations": 50, "keep": 3, "retry_delay": 0}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create function pg_temp.play(from_iteration int, to_iteration int) returns void language plpgsql as $$
begin
  for n in from_iteration .. to_iteration loop
    perform quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'l', n, 'once');
    perform quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', n, to_jsonb(n));
  end loop;
end
$$;

select pg_temp.play(0, 6);
select results_eq(
  'select task_index, status from quantumflow.step_tasks order by 1',
  $$values (4, 'completed'), (5, 'completed'), (6, 'completed'), (7, 'queued')$$, 'three that have ended, and the one that goes on');
select results_eq('select task_index from quantumflow.task_failures order by 1', 'values (4), (5), (6)', 'their failures');
select is((select initial_tasks from quantumflow.step_states), 8, 'all are counted');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select pg_temp.play(7, 9);
select results_eq(
  'select s.status, s.output, array_agg(t.task_index order by t.task_index) from quantumflow.step_states s, quantumflow.step_tasks t group by 1, 2',
  $$values ('completed', '9'::jsonb, '{7,8,9}'::int[])$$, 'and so at its end');
select results_eq(
  $$select * from quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'l')$$, $$values (7, '7'::jsonb), (8, '8'), (9, '9')$$,
  'list_outputs has what is kept');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken at the end');

select * from finish();
rollback;
