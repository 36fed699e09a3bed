begin;
select plan(3);

select is_empty(
  $$
  select p.oid::regprocedure
  from pg_proc p
  cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
  where p.pronamespace = 'quantumflow'::regnamespace
    and g.grantee = 0
  order by 1
  $$,
  'PUBLIC may execute no function');

select is_empty(
  $$
  select c.relname, g.privilege_type
  from pg_class c
  cross join aclexplode(c.relacl) g
  where c.relnamespace = 'quantumflow'::regnamespace
    and g.grantee = 0
  order by 1, 2
  $$,
  'PUBLIC has no right on a table or view');

select is_empty(
  $$
  select g.privilege_type
  from pg_namespace n
  cross join aclexplode(n.nspacl) g
  where n.nspname = 'quantumflow'
    and g.grantee = 0
  $$,
  'PUBLIC has no right on the schema');

select * from finish();
rollback;
