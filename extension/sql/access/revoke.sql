create function quantumflow.revoke_access(role text)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $revoke_access$
begin
  perform quantumflow._lock_rights(revoke_access.role);

  -- The functions run with the rights of their owner, who must keep them.
  if revoke_access.role = current_user then
    raise exception 'role "%" owns quantumflow', revoke_access.role
    using
      errcode = 'QF501',
      detail = 'Without the rights of its owner no function would work.',
      hint = 'Revoke the access of another role.';
  end if;

  execute format('revoke all on all functions in schema quantumflow from %I', revoke_access.role);
  execute format('revoke all on all tables in schema quantumflow from %I', revoke_access.role);
  execute format('revoke all on schema quantumflow from %I', revoke_access.role);

  return format(
    '%s may call %s', revoke_access.role, coalesce(quantumflow._callable_functions(revoke_access.role), 'nothing'));
end
$revoke_access$;

comment on function quantumflow.revoke_access(text) is
'Takes every access to quantumflow from a role, whatever it was granted, and returns what it may call still: what it may by being
a member of another role, or a superuser, stays.

Only the owner of quantumflow and superusers may call it. A role can be dropped only after this, in each database.

Errors: QF501 unknown role, or the owner of quantumflow.';
