create function quantumflow._examine_rights()
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_rights$
begin
  return query
  select
    'rights',
    case when l.complete is null then 'warning' else 'ok' end,
    case
      when l.missing is null then format('%s may call every public function', session_user)
      when l.complete is not null then format('%s has access as %s', session_user, l.complete)
      else format('%s may not call %s', session_user, l.missing)
    end,
    case
      when l.complete is null
      then format(
        'Whoever installed quantumflow can change that: select quantumflow.grant_access(%L, ''viewer''), or worker, operator, author.',
        session_user)
    end
  from (
    select
      string_agg(a.level, ', ' order by a.level) filter (where a.missing is null and a.level <> 'all') as complete,
      max(a.missing) filter (where a.level = 'all') as missing
    from (
      select
        g.level,
        string_agg(g.proname, ', ' order by g.proname) filter (where not g.is_granted) as missing
      from (
        select
          v.level,
          f.proname::text,
          has_schema_privilege(session_user, 'quantumflow', 'usage')
            and has_function_privilege(session_user, f.oid, 'execute') as is_granted
        from pg_proc f
        join quantumflow._levels() l
          on l.function_name = f.proname
        cross join unnest(l.levels || 'all'::text) v (level)
        where f.pronamespace = 'quantumflow'::regnamespace
      ) g
      group by g.level
    ) a
  ) l;
end
$_examine_rights$;

comment on function quantumflow._examine_rights() is 'doctor(): what the caller may call.';

create function quantumflow._examine_grants()
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_grants$
begin
  return query
  select
    'grants',
    case when count(*) = 0 then 'ok' else 'warning' end,
    case
      when count(*) = 0 then 'nobody has a right that no access gives'
      else format('rights that no access gives: %s', string_agg(k.g, ', ' order by k.g) filter (where k.n <= 20))
        || case when count(*) > 20 then format(', and %s more', count(*) - 20) else '' end
    end,
    case
      when count(*) > 0
      then 'Default privileges may have granted them. Take them back: select quantumflow.revoke_access(role), for queues with REVOKE; then '
        'grant_access() what the role is to have.'
    end
  from (
    select s.g, row_number() over (order by s.g) as n
    from quantumflow._stray_grants() s (g)
  ) k;
end
$_examine_grants$;

comment on function quantumflow._examine_grants() is 'doctor(): who has rights beyond those that grant_access() gives.';

create function quantumflow._stray_grants()
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_stray_grants$
begin
  return query
  with held as (
    select o.kind, o.name, o.object, a.grantee, a.privilege_type
    from (
      select 'schema', n.nspname::text, 'schema ' || n.nspname, n.nspowner, n.nspacl
      from pg_namespace n
      where n.nspname = 'quantumflow'
      union all
      select 'function', f.proname::text, f.oid::regprocedure::text, f.proowner, coalesce(f.proacl, acldefault('f', f.proowner))
      from pg_proc f
      where f.pronamespace = 'quantumflow'::regnamespace
      union all
      select case c.relkind when 'S' then 'sequence' else 'table' end, c.relname::text, c.oid::regclass::text, c.relowner, c.relacl
      from pg_class c
      where c.relnamespace = 'quantumflow'::regnamespace
      union all
      select 'column', a.attname::text, format('%s (%I)', c.oid::regclass, a.attname), c.relowner, a.attacl
      from pg_class c
      join pg_attribute a
        on a.attrelid = c.oid
      where c.relnamespace = 'quantumflow'::regnamespace
      union all
      select 'queue', c.relname::text, c.oid::regclass::text, c.relowner, c.relacl
      from quantumflow._known_queues() q (queue)
      cross join unnest(array['q_', 'a_']) k (prefix)
      join pg_class c
        on c.oid = to_regclass(format('pgmq.%I', k.prefix || q.queue))
    ) o (kind, name, object, owner, acl)
    cross join aclexplode(o.acl) a
    where a.grantee <> o.owner
  ),
  -- Who has which access, as one function tells: no access gives that one without giving all of the level.
  access as (
    select distinct h.grantee, s.level
    from (
      values ('viewer', 'check_state'), ('worker', 'claim_tasks'), ('operator', 'cancel_run'), ('author', 'define_flow'),
        ('caller', 'start_flow')
    ) s (level, function_name)
    join held h
      on h.kind = 'function'
      and h.name = s.function_name
    where h.grantee <> 0
  )
  select format('%s on %s to %s', h.privilege_type, h.object, case h.grantee when 0 then 'PUBLIC' else pg_get_userbyid(h.grantee) end)
  from held h
  where case h.kind
    when 'schema' then h.privilege_type <> 'USAGE' or h.grantee = 0
    when 'table' then h.privilege_type <> 'SELECT' or not exists (
      select from access x where x.grantee = h.grantee and x.level = 'viewer')
    -- pgmq lets pg_monitor read all its tables, by default privileges.
    when 'queue' then h.privilege_type <> 'SELECT' or h.grantee is distinct from to_regrole('pg_monitor')::oid
    when 'function' then not exists (
      select
      from quantumflow._levels() l
      join access x
        on x.level = any (l.levels)
      where l.function_name = h.name
        and x.grantee = h.grantee)
    else true
  end;
end
$_stray_grants$;

comment on function quantumflow._stray_grants() is
'The rights on what is quantumflow''s, and on its queues, that others have and that no access gives.';
