-- PostgreSQL lets everybody execute a new function, and default privileges may grant more, to anybody. Here nobody has rights, until
-- access is granted.
do $rights$
begin
  perform quantumflow._revoke_grants(o.kind, o.name, o.owner, o.acl)
  from (
    select 'schema', 'quantumflow', n.nspowner, n.nspacl
    from pg_catalog.pg_namespace n
    where n.oid operator(pg_catalog.=) 'quantumflow'::pg_catalog.regnamespace
    union all
    select 'function', f.oid::pg_catalog.regprocedure::text, f.proowner, f.proacl
    from pg_catalog.pg_proc f
    where f.pronamespace operator(pg_catalog.=) 'quantumflow'::pg_catalog.regnamespace
    union all
    select case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::pg_catalog.regclass::text, c.relowner, c.relacl
    from pg_catalog.pg_class c
    where c.relnamespace operator(pg_catalog.=) 'quantumflow'::pg_catalog.regnamespace
      and c.relkind operator(pg_catalog.=) any (array['r', 'v', 'S']::pg_catalog."char"[])
  ) o (kind, name, owner, acl)
  where o.acl is not null;
end
$rights$;

revoke all on all functions in schema quantumflow from public;
