alter table quantumflow.workflow_runs add column paused_at timestamptz;

alter table quantumflow.settings
  drop constraint settings_name_known,
  add constraint settings_name_known check (name in (
    'test_clock', 'identity',
    'max_steps', 'max_depth', 'max_definition_bytes', 'max_map_items', 'max_input_bytes', 'max_output_bytes', 'max_error_bytes'));
