create function quantumflow.version()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $version$
  select '@version@';
$version$;

comment on function quantumflow.version() is
'The version of quantumflow that is installed, however it was installed.';
