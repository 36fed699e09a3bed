create table quantumflow.settings (
  name  text not null,
  value text not null,
  constraint settings_pkey primary key (name),
  constraint settings_name_known check (name in (
    'test_clock', 'test_clock_ahead', 'identity', 'pgmq_owner',
    'max_steps', 'max_depth', 'max_definition_bytes', 'max_map_items', 'max_input_bytes', 'max_headers_bytes', 'max_output_bytes',
    'max_error_bytes', 'max_condition_bytes', 'max_signals', 'max_run_depth', 'max_tree_runs', 'max_iterations', 'max_progress_bytes', 'notify',
    'max_plans', 'max_plan_steps', 'orchestrator.max_depth', 'orchestrator.timeout_ms', 'optimization.enabled', 'optimization.level',
    'optimization.preserve_structure', 'notifications.enabled', 'notifications.real_time'))
);

comment on table quantumflow.settings is
'What an installation changes from the defaults, with quantumflow.configure(). No row means the default.';
comment on column quantumflow.settings.name is
'max_...: a limit; see configure(). orchestrator, optimization, notifications: see configure_orchestrator(). identity: which database the runs belong to; see adopt(). pgmq_owner: a role that may own
pgmq though it is neither a superuser nor the owner of quantumflow.
test_clock: "on" lets the setting quantumflow.now replace the clock; for tests only, default "off". test_clock_ahead: by how many seconds it is
ahead in sessions that share it; see advance_clock().';
comment on column quantumflow.settings.value is
'The value, as text.';
