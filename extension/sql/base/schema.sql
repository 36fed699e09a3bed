-- Until the end of the transaction, so that names and operators below mean the same, whoever installs.
set local search_path = pg_catalog, pg_temp;
-- Likewise the backslashes in what is stored: a database's owner could have it off for the whole database.
set local standard_conforming_strings = on;

do $path$
begin
  -- Outside of a transaction, as in psql without -1, that was but a warning. Then for the session: somebody else's functions, in a
  -- schema named like whoever installs, may fit better than PostgreSQL's.
  if pg_catalog.current_setting('search_path') operator(pg_catalog.<>) 'pg_catalog, pg_temp' then
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false);
  end if;
end
$path$;

-- The script makes its own schema, so that DROP EXTENSION removes it, and so that a schema somebody
-- else made beforehand (whose owner could add overloads to it) is refused instead of adopted.
create schema quantumflow;

comment on schema quantumflow is
'quantumflow: durable DAG workflows coordinated inside PostgreSQL, on top of pgmq.

Functions whose name starts with an underscore are private and may change in any release.';
