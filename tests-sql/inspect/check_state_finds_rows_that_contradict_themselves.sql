begin;
select plan(24);

select quantumflow.define_flow('{"slug": "f", "steps": [{"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"], "map_over": "a"}]}');
select quantumflow.start_flow('f', run_id => '10000000-0000-0000-0000-000000000001');

-- What is found when a row is changed, and only then.
create function pg_temp.found(p_change text) returns text language plpgsql as $$
declare
  v_found text;
begin
  begin
    execute p_change;
    select string_agg(c.problem, '; ') into v_found
    from quantumflow.check_state('10000000-0000-0000-0000-000000000001') c
    where c.rule = 16;
    raise exception 'undo' using errcode = 'ZZ001';
  exception when sqlstate 'ZZ001' then
  end;

  return v_found;
end $$;

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select is(pg_temp.found('update quantumflow.workflow_runs set ' || c.change), 'the run is ' || c.problem, c.change)
from (values
  ($$status = 'odd'$$, 'odd, and nobody knows this status'),
  ($$status = 'completed'$$, 'completed, and completed_at does not go with that'),
  ('completed_at = now()', 'started, and completed_at does not go with that'),
  ('failed_at = now()', 'started, and failed_at does not go with that'),
  ('cancelled_at = now()', 'started, and cancelled_at does not go with that'),
  ($$output = '1'$$, 'started, and has an output'),
  ('priority = -1', 'started, and has a negative number'),
  ('parent_run_id = gen_random_uuid()', 'started, and names its parent only in part'),
  ('paused_with_parent = true', 'started, and is paused with a parent that it does not have')
) c (change, problem);

select is(pg_temp.found(format('update quantumflow.step_states set %s where step_slug = ''a''', c.change)), 'the step is ' || c.problem, c.change)
from (values
  ($$status = 'odd'$$, 'odd, and nobody knows this status'),
  ('completed_at = now()', 'started, and completed_at does not go with that'),
  ('failed_at = now()', 'started, and failed_at does not go with that'),
  ('skipped_at = now()', 'started, and skipped_at does not go with that'),
  ($$status = 'skipped', skipped_at = now()$$, 'skipped, and skip_reason does not go with skipped_at'),
  ($$status = 'skipped', skipped_at = now(), skip_reason = 'odd'$$, 'skipped, and nobody knows its skip_reason'),
  ('remaining_deps = 1', 'started, and waits for others'),
  ('initial_tasks = null', 'started, and has no number of tasks'),
  ('failed_tasks = 0', 'started, and failed_tasks is not null'),
  ('max_iterations = 0', 'started, and has more iterations than its maximum')
) c (change, problem);

select is(pg_temp.found('update quantumflow.step_tasks set ' || c.change), 'the task is ' || c.problem, c.change)
from (values
  ($$status = 'odd'$$, 'odd, and nobody knows this status'),
  ($$status = 'started'$$, 'started, and has no lease'),
  ('failed_at = now()', 'queued, and failed_at does not go with that'),
  ('task_index = -1', 'queued, and has a negative number')
) c (change, problem);

select * from finish();
rollback;
