begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map", "chunk_size": 2}]}');
select quantumflow.start_flow('w', (select jsonb_agg(i order by i) from generate_series(0, 40004) i));

select is((select initial_tasks from quantumflow.step_states), 20003, 'a task for two items');
select results_eq(
  $$select count(*)::int, bool_and(item_value = case task_index
      when 20002 then jsonb_build_array(40004)
      else jsonb_build_array(2 * task_index, 2 * task_index + 1)
    end)
  from quantumflow.step_tasks$$,
  'values (20003, true)', 'each has its own, in whichever portion');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
