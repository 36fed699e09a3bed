begin;
select plan(5);

select isnt(
  obj_description('quantumflow'::regnamespace, 'pg_namespace'),
  null, 'the schema has a comment');

select is_empty(
  $$
  select c.relname, c.relkind
  from pg_class c
  where c.relnamespace = 'quantumflow'::regnamespace
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
    and obj_description(c.oid, 'pg_class') is null
  order by c.relname
  $$,
  'every table and view has a comment');

select is_empty(
  $$
  select c.relname, a.attname
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  where c.relnamespace = 'quantumflow'::regnamespace
    and not c.relispartition
    and (c.relkind in ('r', 'p', 'v', 'm', 'f') or c.relkind = 'c' and c.relname not like '\_%')
    and col_description(c.oid, a.attnum) is null
  order by c.relname, a.attnum
  $$,
  'every column of a table, a view and a public type has a comment');

select is_empty(
  $$
  select t.typname
  from pg_type t
  left join pg_class c on c.oid = t.typrelid
  where t.typnamespace = 'quantumflow'::regnamespace
    and t.typcategory <> 'A'
    and (c.oid is null or c.relkind = 'c')
    and obj_description(t.oid, 'pg_type') is null
  order by t.typname
  $$,
  'every type has a comment');

select is_empty(
  $$
  select p.oid::regprocedure
  from pg_proc p
  where p.pronamespace = 'quantumflow'::regnamespace
    and obj_description(p.oid, 'pg_proc') is null
  order by 1
  $$,
  'every function has a comment');

select * from finish();
rollback;
