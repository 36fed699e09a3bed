begin;
select plan(1);

-- Without one PostgreSQL refuses to change or delete its rows where a publication has all tables.
select is_empty(
  $$
  select c.oid::regclass
  from pg_class c
  where c.relnamespace = 'quantumflow'::regnamespace
    and c.relkind in ('r', 'p')
    and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)
  $$,
  'every table has a primary key');

select * from finish();
rollback;
