-- Columns that change stand together now, which saves WAL. To get there the tables are written anew, if nobody else is in the database
-- and it is soon done: whoever only looks, and began before, would find them empty. Otherwise they keep the order that they have, on
-- which nothing depends.
do $regroup$
begin
  lock table quantumflow.settings, quantumflow.workflow_runs, quantumflow.step_states, quantumflow.step_tasks
    in access exclusive mode nowait;

  if pg_table_size('quantumflow.workflow_runs') + pg_table_size('quantumflow.step_states')
      + pg_table_size('quantumflow.step_tasks') > 100000000
    or exists (
      select
      from pg_stat_activity a
      where a.datname = current_database()
        and a.usesysid is not null
        and a.pid <> pg_backend_pid()
    )
  then
    raise lock_not_available;
  end if;

  drop view quantumflow.workflow_step_states;
  drop view quantumflow.workflow_step_tasks;
  drop view quantumflow.workflow_step_dependencies;
  drop view quantumflow.step_dependencies;
  drop view quantumflow._task_inputs;
  drop function quantumflow.cancel_run(uuid, text);

  @rebuild quantumflow.workflow_runs@
  @index workflow_runs_idempotency_key_unique@
  @rebuild quantumflow.step_states@
  @rebuild quantumflow.step_tasks@
exception
  when lock_not_available then
    -- Every call of a worker reads the settings before anything else. Who has them alone has nobody in the middle of a call, and
    -- waits for no other table while somebody waits for this one.
    lock table quantumflow.settings in access exclusive mode;
    alter table quantumflow.workflow_runs add column paused_at timestamptz;
end
$regroup$;

alter table quantumflow.settings
  drop constraint settings_name_known,
  add constraint settings_name_known check (name in (
    'test_clock', 'identity',
    'max_steps', 'max_depth', 'max_definition_bytes', 'max_map_items', 'max_input_bytes', 'max_headers_bytes', 'max_output_bytes',
    'max_error_bytes'));
