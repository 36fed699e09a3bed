-- Every call of a worker reads the settings before anything else: whoever has them alone waits for nobody who waits for this.
alter table quantumflow.settings
  drop constraint settings_name_known,
  add constraint settings_name_known check (name in (
    'test_clock', 'identity',
    'max_steps', 'max_depth', 'max_definition_bytes', 'max_map_items', 'max_input_bytes', 'max_headers_bytes', 'max_output_bytes',
    'max_error_bytes', 'notify'));

alter table quantumflow.workflow_steps
  add column chunk_size int,
  add constraint workflow_steps_chunk_size_of_maps check (chunk_size is null or (chunk_size >= 1 and step_type = 'map'));
