-- Until the end of the transaction, so that names and operators below mean the same, whoever updates.
set local search_path = pg_catalog, pg_temp;

do $guard$
declare
  v_owner text := (select pg_get_userbyid(n.nspowner) from pg_namespace n where n.nspname = 'quantumflow');
begin
  -- A plain-SQL installation has nobody else to see that the script fits.
  if quantumflow.version() <> '@from@' then
    raise exception 'this script updates quantumflow @from@ to @to@, and here is %', quantumflow.version()
    using errcode = 'object_not_in_prerequisite_state';
  end if;

  -- What is new runs with the rights of whoever makes it: that is to be the owner, also when a superuser updates.
  if current_user <> v_owner then
    perform set_config('role', v_owner, true);
  end if;

  -- Whoever waits for a table makes everybody else wait behind it: rather than that, give up, change nothing, and be tried again.
  if current_setting('lock_timeout') = '0' then
    set local lock_timeout = '3 s';
  end if;

  -- What is dropped and made anew loses what was granted on it; finish.sql grants it again. A function goes by its name alone: it may
  -- have got another argument.
  perform set_config(
    'quantumflow.granted',
    (
      select coalesce(jsonb_agg(jsonb_build_array(
        o.kind, o.name, case a.grantee when 0 then 'public' else a.grantee::regrole::text end, a.privilege_type, a.is_grantable
      )), '[]')::text
      from (
        select 'function', p.oid::regproc::text, p.proacl, p.proowner
        from pg_proc p
        where p.pronamespace = 'quantumflow'::regnamespace
        union all
        select 'table', c.oid::regclass::text, c.relacl, c.relowner
        from pg_class c
        where c.relnamespace = 'quantumflow'::regnamespace
      ) o (kind, name, acl, owner)
      cross join aclexplode(o.acl) a
      where a.grantee <> o.owner
    ),
    true);
end
$guard$;
