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
    ('doctor', '{viewer}'),
    ('get_flow', '{viewer}'),
    ('list_failures', '{viewer}'),
    ('list_flows', '{viewer}'),
    ('list_runs', '{viewer}'),
    ('retry_preview', '{viewer}'),
    ('run_input', '{viewer,worker}'),
    ('status', '{viewer,caller}'),
    ('step_output', '{viewer,worker}'),
    ('validate_flow', '{viewer}'),
    ('version', '{viewer,caller,worker}'),

    ('claim_tasks', '{worker}'),
    ('complete_and_claim', '{worker}'),
    ('complete_tasks', '{worker}'),
    ('extend_leases', '{worker}'),
    ('fail_tasks', '{worker}'),
    ('hold_task', '{worker}'),
    ('register_worker', '{worker}'),
    ('release_tasks', '{worker}'),
    ('stop_worker', '{worker}'),

    -- By hand, without a lease.
    ('complete_task', '{operator}'),
    ('fail_task', '{operator}'),
    ('sweep', '{worker,operator}'),

    ('adopt', '{operator}'),
    ('cancel_run', '{operator}'),
    ('configure', '{operator}'),
    ('delete_run', '{operator}'),
    ('pause_run', '{operator}'),
    ('prune', '{operator}'),
    ('rebuild_queues', '{operator}'),
    ('repair', '{operator}'),
    ('resume_run', '{operator}'),
    ('retry_run', '{operator}'),
    ('setup', '{operator,author}'),
    ('start_flow', '{operator,author,caller}'),
    ('start_flows', '{operator,author,caller}'),
    ('start_ready_steps', '{operator}'),

    ('add_step', '{author}'),
    ('create_flow', '{author}'),
    ('define_flow', '{author}'),
    ('delete_flow', '{author}'),

    -- Only whoever installed quantumflow.
    ('grant_access', '{}'),
    ('revoke_access', '{}');
end
$_levels$;

comment on function quantumflow._levels() is
'The public functions, each with the levels of access that may call it. Operators and authors are viewers too.';

create function quantumflow._callable_functions(p_role text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_callable_functions$
begin
  return (
    select string_agg(distinct f.proname::text, ', ' order by f.proname::text)
    from pg_proc f
    where f.pronamespace = 'quantumflow'::regnamespace
      and not starts_with(f.proname, '_')
      and has_schema_privilege(p_role, 'quantumflow', 'usage')
      and has_function_privilege(p_role, f.oid, 'execute')
  );
end
$_callable_functions$;

comment on function quantumflow._callable_functions(text) is
'The public functions that a role may call, whatever it owes that to; null when there is none.';

create function quantumflow._lock_rights(p_role text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_lock_rights$
begin
  if not exists (select from pg_roles r where r.rolname = p_role) then
    raise exception 'role "%" does not exist', coalesce(p_role, 'null')
    using
      errcode = 'QF501',
      detail = 'Names of roles are case-sensitive here.',
      hint = 'Make it first, for example: create role order_worker login.';
  end if;

  -- One at a time: PostgreSQL fails on two GRANTs of the same object at once. A lock that only the owner can take.
  lock table quantumflow.settings in share update exclusive mode;
end
$_lock_rights$;

comment on function quantumflow._lock_rights(text) is
'Refuses a role that does not exist, and waits until nobody else changes rights.

Errors: QF501 unknown role.';
