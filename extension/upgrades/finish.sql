do $finish$
declare
  v_granted jsonb;
begin
  for v_granted in
    select * from jsonb_array_elements(current_setting('quantumflow.granted')::jsonb)
  loop
    if (
      case v_granted ->> 0
        when 'function' then to_regproc(v_granted ->> 1) is not null
        when 'schema' then to_regnamespace(v_granted ->> 1) is not null
        else to_regclass(v_granted ->> 1) is not null
      end
    )
    then
      execute format(
        'grant %s on %s %s to %s', v_granted ->> 3, v_granted ->> 0, v_granted ->> 1,
        (v_granted ->> 2) || case when (v_granted ->> 4)::boolean then ' with grant option' else '' end);
    end if;
  end loop;

  -- Whoever waits for a table that is gone began before there was the one in its place, and would find it empty.
  -- Whoever waits for a type that is gone, a row's, holds nothing and is told an error at the worst.
  if exists (
    select
    from pg_locks l
    where l.database = (select d.oid from pg_database d where d.datname = current_database())
      and not l.granted
      and l.locktype = 'relation'
      and not exists (select from pg_class c where c.oid = l.relation)
      and exists (
        select
        from pg_locks o
        where o.pid = pg_backend_pid()
          and o.database = l.database
          and o.relation = l.relation
          and o.mode = 'ShareRowExclusiveLock'
      )
  )
  then
    raise exception 'somebody came while quantumflow was being updated to @to@'
    using
      errcode = 'lock_not_available',
      hint = 'Nothing was changed. Try again.';
  end if;
end
$finish$;
