create function quantumflow.grant_access(role text, access text)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $grant_access$
declare
  v_levels   text[] := case
    when grant_access.access in ('operator', 'author') then array['viewer', grant_access.access]
    else array[grant_access.access]
  end;
  v_function regprocedure;
begin
  if grant_access.access is null or not exists (select from quantumflow._levels() l where grant_access.access = any (l.levels)) then
    raise exception 'there is no access "%"', coalesce(grant_access.access, 'null')
    using
      errcode = 'QF502',
      detail = 'A role can be viewer, caller, worker, operator or author.',
      hint = 'Call it once for each that the role is to have.';
  end if;

  perform quantumflow._lock_rights(grant_access.role);

  execute format('grant usage on schema quantumflow to %I', grant_access.role);
  for v_function in
    select f.oid::regprocedure
    from quantumflow._levels() l
    join pg_proc f
      on f.proname = l.function_name
    where l.levels && v_levels
      and f.pronamespace = 'quantumflow'::regnamespace
  loop
    execute format('grant execute on function %s to %I', v_function, grant_access.role);
  end loop;

  if 'viewer' = any (v_levels) then
    execute format('grant select on all tables in schema quantumflow to %I', grant_access.role);
  end if;

  return format('%s may call %s', grant_access.role, quantumflow._callable_functions(grant_access.role));
end
$grant_access$;

comment on function quantumflow.grant_access(text, text) is
'Lets a role use quantumflow, and returns what it may call then. Call it once for each access that the role is to have.

viewer: look at everything, by functions and by reading the tables and views of schema quantumflow, and change nothing.
caller: start runs, send them signals, have goals executed, and ask for the status of those whose id it knows; nothing else, and no right on any table.
worker: claim tasks, extend their leases, read what they need, report them, and nothing else: no right on any table.
operator: a viewer who also starts, signals, cancels, pauses, resumes, retries, deletes and mends runs, completes and fails
tasks by hand, and sets limits.
author: a viewer who also defines workflows, and starts runs of them.

Nobody gets a right on a queue, or to change a table. Only the owner of quantumflow and superusers may call it. Call it again after
an update: new functions are not granted by themselves.

Errors: QF501 unknown role; QF502 unknown access.';

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
