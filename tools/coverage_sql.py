"""Which statements and branches of the PL/pgSQL functions the SQL tests execute.

Runs tests-sql on the system's PostgreSQL with plpgsql_check's profiler (Debian:
postgresql-15-plpgsql-check), then prints each function that is not wholly covered, and the totals.
It fails when a test does.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from quantumflow_client.embedded import EmbeddedServer
from support.server import REPOSITORY, build_extension, throwaway_server
from support.sql_tests import PGTAP, find, psql_of, run

# Preloaded, it counts for all sessions together.
SETTINGS = {
    "shared_preload_libraries": "plpgsql,plpgsql_check",
    "plpgsql_check.profiler": "on",
    "plpgsql_check.profiler_max_shared_chunks": "50000",
}
# plpgsql_check tells the share of the branches only. They are the bodies of conditions and loops,
# and the way round a condition that has no ELSE.
COVERAGE = """
with function as materialized (
  select p.oid
  from pg_proc p
  join pg_language l on l.oid = p.prolang and l.lanname = 'plpgsql'
  where p.pronamespace = 'quantumflow'::regnamespace
),
part as materialized (
  select f.oid, s.*
  from function f
  cross join lateral plpgsql_profiler_function_statements_tb(f.oid) s
),
statement as materialized (
  select p.*, parent.stmtname as of
  from part p
  left join part parent
    on (parent.oid, parent.stmtid) = (p.oid, p.parent_stmtid)
)
select
  s.oid::regprocedure::text as name,
  count(*)::int as statements,
  count(*) filter (where s.exec_stmts > 0)::int as executed_statements,
  b.branches,
  round(b.branches * plpgsql_coverage_branches(s.oid))::int as executed_branches,
  array_agg(s.lineno order by s.lineno) filter (where s.exec_stmts = 0) as lines
from statement s
cross join lateral (
  select
    (
      count(*) filter (where k.block_num = 1 and (k.of = 'IF' or k.of ~ '^(FOR|WHILE|LOOP)'))
      + count(*) filter (where k.stmtname = 'IF')
      - count(*) filter (where k.of = 'IF' and k.block_num = 1 and k.parent_note = 'else body')
    )::int as branches
  from statement k
  where k.oid = s.oid
) b
group by s.oid, b.branches
order by 1
"""


class Coverage(NamedTuple):
    """How much of a function was executed, and the lines of the statements that were not."""

    name: str
    statements: int
    executed_statements: int
    branches: int
    executed_branches: int
    lines: list[int] | None

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.executed_statements} of {self.statements} statements, "
            f"{self.executed_branches} of {self.branches} branches"
            + (f"; not executed: line {', '.join(map(str, self.lines))}" if self.lines else "")
        )

    @property
    def is_complete(self) -> bool:
        """Whether all of it was executed."""
        return self.lines is None and self.branches == self.executed_branches


def run_tests(server: EmbeddedServer, dsn: str, where: list[str]) -> int:
    """Run the SQL tests in one database; how many files failed."""
    failed = 0
    for file in find(where):
        result = run(file, psql_of(server), dsn)
        if result.problems:
            failed += 1
            print(f"{file.relative_to(REPOSITORY)}: {'; '.join(result.problems)}")
    return failed


def main(where: list[str]) -> int:
    """Run, count, print."""
    build_extension()
    pgtap = sorted(PGTAP.glob("pgtap*"))
    with throwaway_server("system", "coverage", settings=SETTINGS, extension_files=pgtap) as server:
        dsn = server.create_database("covered", ("plpgsql_check", "pgtap", "pgmq", "quantumflow"))
        failed = run_tests(server, dsn, where)
        with psycopg.connect(dsn, autocommit=True) as connection:
            found = connection.cursor(row_factory=class_row(Coverage)).execute(COVERAGE).fetchall()

    for function in found:
        if not function.is_complete:
            print(function)
    statements = sum(function.statements for function in found)
    executed = sum(function.executed_statements for function in found)
    branches = sum(function.branches for function in found)
    taken = sum(function.executed_branches for function in found)
    print(
        f"{executed} of {statements} statements ({executed / statements:.1%}) and {taken} of "
        f"{branches} branches ({taken / branches:.1%}) of {len(found)} functions"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
