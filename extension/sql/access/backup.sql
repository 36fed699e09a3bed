-- Without this pg_dump leaves out the rows of an extension's tables. Nothing to do for a plain install.
do $backup$
declare
  v_table regclass;
begin
  if exists (
    select
    from pg_catalog.pg_extension e
    where e.extname operator(pg_catalog.=) 'quantumflow'
  )
  then
    for v_table in
      select c.oid
      from pg_catalog.pg_class c
      where c.relnamespace operator(pg_catalog.=) 'quantumflow'::pg_catalog.regnamespace
        and c.relkind operator(pg_catalog.=) any (array['r', 'S']::pg_catalog."char"[])
      order by c.relname
    loop
      perform pg_catalog.pg_extension_config_dump(v_table, '');
    end loop;
  end if;
end
$backup$;
