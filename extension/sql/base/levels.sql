-- Who may call what, all of it: a public function that is not listed here fails a test.

create function quantumflow._levels()
returns table (function_name text, levels text[])
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_levels$
begin
  return query
  values
    ('check_state', '{viewer}'::text[]),
    ('critical_path', '{viewer}'),
    ('decompose', '{viewer}'),
    ('diff_flow', '{viewer}'),
    ('doctor', '{viewer}'),
    ('eta', '{viewer}'),
    ('failed_items', '{viewer,worker}'),
    ('find_run', '{viewer}'),
    ('get_flow', '{viewer}'),
    ('help', '{viewer}'),
    ('history', '{viewer}'),
    ('list_attempts', '{viewer}'),
    ('list_failures', '{viewer}'),
    ('goal_status', '{viewer,caller}'),
    ('list_flows', '{viewer}'),
    ('list_goals', '{viewer}'),
    ('list_limits', '{viewer}'),
    ('list_methods', '{viewer}'),
    ('list_outputs', '{viewer}'),
    ('list_pauses', '{viewer}'),
    ('list_queues', '{viewer}'),
    ('list_runs', '{viewer}'),
    ('list_schedules', '{viewer}'),
    ('list_sizes', '{viewer}'),
    ('list_waits', '{viewer}'),
    ('list_workers', '{viewer}'),
    ('metrics', '{viewer}'),
    ('next_times', '{viewer}'),
    ('prune_preview', '{viewer}'),
    ('recent_events', '{viewer}'),
    ('retry_preview', '{viewer}'),
    ('run_input', '{viewer,worker}'),
    ('stats', '{viewer}'),
    ('status', '{viewer,caller}'),
    ('step_output', '{viewer,worker}'),
    ('test_condition', '{viewer}'),
    ('timeline', '{viewer}'),
    ('validate_flow', '{viewer}'),
    ('version', '{viewer,caller,worker}'),
    ('why', '{viewer}'),

    ('claim_tasks', '{worker}'),
    ('complete_and_claim', '{worker}'),
    ('complete_tasks', '{worker}'),
    ('extend_leases', '{worker}'),
    ('fail_tasks', '{worker}'),
    ('hold_task', '{worker}'),
    ('register_worker', '{worker}'),
    ('left_work', '{worker}'),
    ('release_tasks', '{worker}'),
    ('report_progress', '{worker}'),
    ('stop_worker', '{worker}'),

    -- By hand, without a lease.
    ('complete_task', '{operator}'),
    ('fail_task', '{operator}'),
    ('settle', '{worker,operator}'),
    ('sweep', '{worker,operator}'),

    ('adopt', '{operator}'),
    ('advance_clock', '{operator}'),
    ('cancel_goal', '{operator}'),
    ('cancel_run', '{operator}'),
    ('configure', '{operator}'),
    ('configure_orchestrator', '{operator}'),
    ('decompose_goal', '{operator,author}'),
    ('delete_run', '{operator}'),
    ('execute_goal', '{operator,author,caller}'),
    ('execute_goals', '{operator,author}'),
    ('pause_command', '{operator}'),
    ('pause_flow', '{operator}'),
    ('pause_queue', '{operator}'),
    ('pause_run', '{operator}'),
    ('pause_schedule', '{operator}'),
    ('prune', '{operator}'),
    ('rebuild_queues', '{operator}'),
    ('remove_limit', '{operator}'),
    ('repair', '{operator}'),
    ('resume_command', '{operator}'),
    ('resume_flow', '{operator}'),
    ('resume_queue', '{operator}'),
    ('resume_run', '{operator}'),
    ('resume_schedule', '{operator}'),
    ('retry_run', '{operator}'),
    ('run_now', '{operator}'),
    ('schedule_flow', '{operator,author}'),
    ('send_signal', '{operator,caller}'),
    ('send_signal_by_key', '{operator,caller}'),
    ('set_limit', '{operator}'),
    ('setup', '{operator,author}'),
    ('start_flow', '{operator,author,caller}'),
    ('start_flows', '{operator,author,caller}'),
    ('start_ready_steps', '{operator}'),
    ('unschedule_flow', '{operator,author}'),

    ('add_method', '{author}'),
    ('add_step', '{author}'),
    ('create_flow', '{author}'),
    ('create_flow_from_graph', '{author}'),
    ('define_flow', '{author}'),
    ('delete_flow', '{author}'),
    ('describe_command', '{author}'),
    ('register_decomposer', '{author}'),

    -- Only whoever installed quantumflow.
    ('grant_access', '{}'),
    ('revoke_access', '{}');
end
$_levels$;

comment on function quantumflow._levels() is
'The public functions, each with the levels of access that may call it. Operators and authors are viewers too.';
