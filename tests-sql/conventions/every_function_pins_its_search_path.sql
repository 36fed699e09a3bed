begin;
select plan(1);

-- A SQL-standard body is bound when it is created and may be inlined: it needs no path.
select is_empty(
  $$
  select p.oid::regprocedure, p.proconfig
  from pg_proc p
  where p.pronamespace = 'quantumflow'::regnamespace
    and p.prosqlbody is null
    and 'search_path=pg_catalog, pg_temp' <> all (coalesce(p.proconfig, '{}') || ''::text)
  order by 1
  $$,
  'every function sets search_path = pg_catalog, pg_temp');

select * from finish();
rollback;
