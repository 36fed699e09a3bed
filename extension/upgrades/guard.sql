do $guard$
declare
  v_owner    text;
  v_login    pg_roles;
  v_stranger text;
  v_patience text;
  v_until    timestamptz;
  v_table    text := 'quantumflow.settings';
  v_first    text;
  v_found    text;
begin
  if pg_catalog.current_setting('search_path') operator(pg_catalog.<>) 'pg_catalog, pg_temp' then
    raise exception 'quantumflow is updated in one transaction'
    using
      errcode = 'no_active_sql_transaction',
      hint = 'Nothing was changed. With psql: psql -1 -v ON_ERROR_STOP=1.';
  end if;

  -- Up to here, and in all of this block, nothing runs but PostgreSQL's own functions: whatever is in the schema may have been replaced.
  select pg_get_userbyid(n.nspowner) into v_owner from pg_namespace n where n.nspname = 'quantumflow';
  if v_owner is null then
    raise exception 'quantumflow is not in this database' using errcode = 'invalid_schema_name';
  end if;

  -- Code of the owner may run below. A superuser who has taken a role is still one to it: who logged in is what counts.
  select r.* into v_login
  from pg_stat_get_activity(pg_backend_pid()) a
  join pg_roles r on r.oid = a.usesysid;
  if current_user <> v_owner or (v_login.rolsuper and v_login.rolname <> v_owner) then
    raise exception 'quantumflow is updated by its owner alone'
    using
      errcode = 'insufficient_privilege',
      detail = format('It belongs to %s, and this is a session of %s.', v_owner, v_login.rolname),
      hint = format('Connect as %s, and update again. Code of the owner could otherwise run with rights that are not his.', v_owner);
  end if;

  -- Under an older snapshot, rows that were written while this waited would be overlooked.
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'quantumflow is updated at the isolation level READ COMMITTED alone'
    using
      errcode = 'feature_not_supported',
      hint = 'Set default_transaction_isolation to "read committed".';
  end if;

  -- All tables and views, and queues, or none: whoever holds one may want any other. So nothing is held while one is waited for, first the settings,
  -- which every call of a worker reads before anything else, then whichever was not free; the rest must be free in that moment.
  if current_setting('lock_timeout') = '0' then
    set local lock_timeout = '3 s';
  end if;
  v_patience := current_setting('lock_timeout');
  v_until := clock_timestamp() + v_patience::interval;
  loop
    v_first := v_table;
    begin
      perform set_config(
        'lock_timeout', greatest(1, ceil(1000 * extract(epoch from v_until - clock_timestamp())))::text, true);
      execute format('lock table %s in access exclusive mode', v_first);
      for v_table in
        select c.oid::regclass::text
        from pg_class c
        where (
            (c.relnamespace = 'quantumflow'::regnamespace and c.relkind in ('r', 'p', 'v'))
            or (c.relnamespace = to_regnamespace('pgmq') and c.relkind in ('r', 'p') and c.relname like 'q\_%')
          )
          -- What is not his he need not be able to lock, and is refused below.
          and pg_get_userbyid(c.relowner) = v_owner
        order by c.relkind, c.relname
      loop
        execute format('lock table %s in access exclusive mode nowait', v_table);
      end loop;
      exit;
    exception
      when lock_not_available then
        if clock_timestamp() >= v_until then
          raise exception 'somebody uses %, and quantumflow cannot be updated meanwhile', v_table
          using
            errcode = 'lock_not_available',
            hint = 'Nothing was changed. End what is open in a transaction (see pg_stat_activity), and try again.';
        end if;
    end;
  end loop;
  perform set_config('lock_timeout', v_patience, true);

  -- Only now, when nobody can add anything any more.
  select format('%s belongs to %s.', o.what, r.rolname)
  into v_stranger
  from (
    select 'function ' || p.oid::regprocedure, p.proowner
    from pg_proc p
    where p.pronamespace = 'quantumflow'::regnamespace
    union all
    select 'type ' || t.oid::regtype, t.typowner
    from pg_type t
    where t.typnamespace = 'quantumflow'::regnamespace
    union all
    select 'relation ' || c.oid::regclass, c.relowner
    from pg_class c
    where c.relnamespace = 'quantumflow'::regnamespace
    union all
    select format('function %s, of a trigger on %s,', p.oid::regprocedure, c.oid::regclass), p.proowner
    from pg_class c
    join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal
    join pg_proc p on p.oid = t.tgfoid
    where c.relnamespace = 'quantumflow'::regnamespace
  ) o (what, owner)
  join pg_roles r on r.oid = o.owner
  where r.rolname <> v_owner
    and not r.rolsuper
  limit 1;
  if v_stranger is not null then
    raise exception 'something of quantumflow belongs to somebody else than %', v_owner
    using
      errcode = 'insufficient_privilege',
      detail = v_stranger,
      hint = 'Look at what it is. Then drop it, or make it the owner''s.';
  end if;

  -- A condition calls what its maker likes, and whose a trigger is, nobody records.
  if exists (
    select
    from pg_trigger t
    join pg_class c on c.oid = t.tgrelid
    where c.relnamespace = 'quantumflow'::regnamespace
      and (t.tgqual is not null or t.tgnargs > 0)
  ) then
    raise exception 'a trigger on a table of quantumflow has a condition, or arguments'
    using
      errcode = 'insufficient_privilege',
      hint = 'Nothing of quantumflow makes one. Look at what it is, and drop it.';
  end if;

  -- The tables get a second lock, which nobody notices: by it finish.sql tells a table that is gone from a type that is.
  for v_table in
    select c.oid::regclass::text from pg_class c where c.relnamespace = 'quantumflow'::regnamespace and c.relkind in ('r', 'p')
  loop
    execute format('lock table %s in share row exclusive mode', v_table);
  end loop;

  -- A plain-SQL installation has nobody else to see that the script fits. The function is read, never called.
  select substring(p.prosrc from '''([^'']*)''')
  into v_found
  from pg_proc p
  where p.pronamespace = 'quantumflow'::regnamespace
    and p.proname = 'version'
    and p.pronargs = 0;
  if v_found is distinct from '@from@' then
    raise exception 'this script updates quantumflow @from@ to @to@, and here is %', coalesce(v_found, 'none')
    using errcode = 'object_not_in_prerequisite_state';
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
        union all
        select 'schema', n.nspname::text, n.nspacl, n.nspowner
        from pg_namespace n
        where n.nspname = 'quantumflow'
      ) o (kind, name, acl, owner)
      cross join aclexplode(o.acl) a
      where a.grantee <> o.owner
    ),
    true);
end
$guard$;
