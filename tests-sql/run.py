"""Runs the SQL tests: run.py [WHERE...], where WHERE is a folder or a file of tests-sql.

What a file is, and when it fails, is in support.sql_tests. Together they must leave nothing behind.
Only a failing file's output is printed.

QUANTUMFLOW_TEST_SERVER=system runs them on the system's PostgreSQL instead of the embedded one,
QUANTUMFLOW_TEST_BINDIR=/folder/with/initdb on that one. QUANTUMFLOW_TEST_PGMQ=1.11.1 takes that
pgmq, and QUANTUMFLOW_TEST_FROM=0.3.0 upgrades that quantumflow. QUANTUMFLOW_TEST_PARTITIONS=3
splits the tables of runs, steps and tasks into so many partitions each.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import psycopg

from quantumflow_client.embedded import EmbeddedServer
from support.server import REPOSITORY, build_extension, server_kind, throwaway_server
from support.sql_tests import FOLDER, PGTAP, Result, find, psql_of, run

RELEASES = REPOSITORY / "extension" / "releases"
OLD = os.environ.get("QUANTUMFLOW_TEST_FROM")
PARTITIONS = int(os.environ.get("QUANTUMFLOW_TEST_PARTITIONS", "0"))
PARTITIONED = {
    "workflow_runs": "id",
    "step_states": "run_id",
    "step_tasks": "run_id",
    "task_failures": "run_id",
    "undone_tasks": "run_id",
}
WORKERS = 2


def contents(psql: Path, dsn: str) -> str:
    """How many objects and rows a database has, to notice what was not rolled back."""
    command: list[str | Path] = [psql, "-XAt", "-v", "ON_ERROR_STOP=1", "-d", dsn]
    command += ["-f", FOLDER / "contents.psql"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def partitioned(script: str, partitions: int) -> str:
    """The extension's script with the tables of what runs partitioned by hash of the run's id.

    A unique index there must hold the id. So what makes two runs of one idempotency key impossible
    is made an index only.
    """
    for table, key in PARTITIONED.items():
        found = re.search(
            rf"^create table quantumflow\.{table} \(.*?^\)( with \(.*?\))?;\n",
            script,
            re.MULTILINE | re.DOTALL,
        )
        assert found is not None, table
        options = found[1] or ""
        whole = found[0].replace(f"{options};", f" partition by hash ({key});")
        parts = "".join(
            f"create table quantumflow._{table}_{n} partition of quantumflow.{table}\n"
            f"  for values with (modulus {partitions}, remainder {n}){options};\n"
            for n in range(partitions)
        )
        script = script.replace(found[0], whole + parts)
    return script.replace(
        "create unique index workflow_runs_idempotency_key_unique", "create index workflow_runs_key"
    )


def scripts() -> list[Path]:
    """Files in place of the extension's own: none, or its script with partitions."""
    if not PARTITIONS:
        return []
    built = (REPOSITORY / "extension").glob("quantumflow--*.sql")
    (file,) = (file for file in built if file.name.count("--") == 1)
    changed = REPOSITORY / ".cache" / "partitioned" / file.name
    changed.parent.mkdir(parents=True, exist_ok=True)
    changed.write_text(partitioned(file.read_text("utf-8"), PARTITIONS), "utf-8")
    return [changed]


def make_database(server: EmbeddedServer, name: str) -> str:
    """Make a database to test in; its connection string."""
    dsn = server.create_database(name, ("pgtap", "pgmq"))
    with psycopg.connect(dsn) as connection:
        if OLD:
            connection.execute(f"create extension quantumflow version '{OLD}'")
            connection.execute("alter extension quantumflow update")
        else:
            connection.execute("create extension quantumflow")
    return dsn


def versions_of(dsn: str) -> str:
    """What the tests ran on."""
    with psycopg.connect(dsn) as connection:
        server = connection.info.parameter_status("server_version")
        found = connection.execute("select extversion from pg_extension where extname = 'pgmq'")
        (pgmq,) = found.fetchone() or (None,)
    return (
        f"PostgreSQL {server} with pgmq {pgmq}"
        + (f", upgraded from {OLD}" if OLD else "")
        + (f", in {PARTITIONS} partitions" if PARTITIONS else "")
    )


def main(where: list[str]) -> int:
    """Run the files on a server of their own; 0 when all passed."""
    files = find(where)
    if not files:
        sys.exit("no test files were found")
    build_extension()
    started = time.monotonic()
    # The hops are with the version at hand; an older one than that needs the base besides.
    base = [file for file in RELEASES.glob("*.sql") if "--" not in file.stem.partition("--")[2]]
    files_of = [*PGTAP.glob("pgtap*"), *(base if OLD else []), *scripts()]
    with throwaway_server(server_kind(), "sql", extension_files=files_of) as server:
        psql = psql_of(server)
        # A database a worker, so that no file waits for another's locks.
        free: SimpleQueue[str] = SimpleQueue()
        for number in range(WORKERS):
            free.put(make_database(server, f"tests_{number}"))

        def run_one(file: Path) -> Result:
            dsn = free.get()
            try:
                return run(file, psql, dsn)
            finally:
                free.put(dsn)

        before = contents(psql, server.dsn("tests_0"))
        with ThreadPoolExecutor(WORKERS) as pool:
            results = list(pool.map(run_one, files))
        left = {contents(psql, server.dsn(f"tests_{number}")) for number in range(WORKERS)}
        versions = versions_of(server.dsn("tests_0"))

    bad = [result for result in results if result.problems]
    for result in bad:
        print(f"\n--- {result.file.relative_to(FOLDER)}: {'; '.join(result.problems)}")
        print(result.output.rstrip())
    if left != {before}:
        print("\n--- a file did not roll back. Before:", before, "After:", *left, sep="\n")
    passed = sum(result.passed for result in results)
    print(
        f"{len(files) - len(bad)} of {len(files)} SQL test files passed ({passed} assertions) "
        f"on {versions} in {time.monotonic() - started:.1f} s"
    )
    return 1 if bad or left != {before} else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
