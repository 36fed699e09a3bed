"""Runs plpgsql_check on every PL/pgSQL function of the extension: no findings.

It looks into function bodies as nothing else does before they run: unknown columns, types that do
not fit, unused variables, casts that cost, dynamic SQL that could be injected. It is an extension
of PostgreSQL in C, so it runs where a server has it (Debian: postgresql-15-plpgsql-check). Where
none has, this says so; with --require it then fails.
"""

from __future__ import annotations

import sys

import psycopg

from quantumflow_client.embedded import EmbeddedServerError
from support.server import build_extension, throwaway_server

# Of a trigger function it must know the table and what the transition table is called.
# That a function could be STABLE is no finding: one that locks rows could not.
FINDINGS = """
select p.oid::regprocedure::text, c.lineno, c.level, c.message, c.detail, c.query
from pg_proc p
join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
left join lateral (
  select t.tgrelid, t.tgnewtable, t.tgoldtable
  from pg_trigger t
  where t.tgfoid = p.oid
  limit 1
) t on true
cross join lateral plpgsql_check_function_tb(
  p.oid, coalesce(t.tgrelid, 0), fatal_errors => false, all_warnings => true,
  oldtable => t.tgoldtable, newtable => t.tgnewtable) c
where p.pronamespace = 'quantumflow'::regnamespace
  and c.message <> 'routine is marked as VOLATILE, should be STABLE'
order by 1, 2
"""
COUNT = """
select count(*)
from pg_proc p
join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
where p.pronamespace = 'quantumflow'::regnamespace
"""


def main() -> int:
    """Check, and print what is found."""
    try:
        with throwaway_server("system", "plpgsql-check") as server:
            dsn = server.create_database("checked")
            with psycopg.connect(dsn, autocommit=True) as connection:
                available = connection.execute(
                    "select from pg_available_extensions where name = 'plpgsql_check'"
                )
                if available.rowcount == 0:
                    return skipped("the system's PostgreSQL has no plpgsql_check")
                connection.execute("create extension plpgsql_check")
                found = connection.execute(FINDINGS).fetchall()
                (functions,) = connection.execute(COUNT).fetchone() or (0,)
    except EmbeddedServerError as error:
        return skipped(str(error))

    for function, line, level, message, detail, query in found:
        place = function if line is None else f"{function}, line {line}"
        print(f"{place}: {level}: {message}", *filter(None, (detail, query)), sep="\n    ")
    print(f"plpgsql_check: {len(found)} findings in {functions} functions")
    return 1 if found or not functions else 0


def skipped(why: str) -> int:
    """Say that nothing was checked."""
    print(f"plpgsql_check: not run, since {why}")
    return 1 if "--require" in sys.argv[1:] else 0


if __name__ == "__main__":
    build_extension()
    sys.exit(main())
