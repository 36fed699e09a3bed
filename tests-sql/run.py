"""Runs the SQL tests: run.py [WHERE...], where WHERE is a folder or a file of tests-sql.

Each file is a pgTAP script that rolls back what it did. It runs in psql, on a database with pgTAP,
pgmq and quantumflow. It fails when psql does, when a line is "not ok", when the numbers of the
lines are not those of the plan, or when it does not end as it should. Together they must leave
nothing behind. Only a failing file's output is printed.

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
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import psycopg

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent
sys.path.insert(0, str(REPOSITORY / "tests-py"))

from quantumflow_client.embedded import EmbeddedServer, _find_bindir  # noqa: E402
from support.server import build_extension, server_kind, throwaway_server  # noqa: E402

PGTAP = REPOSITORY / ".cache" / "pgtap"
RELEASES = REPOSITORY / "extension" / "releases"
OLD = os.environ.get("QUANTUMFLOW_TEST_FROM")
PARTITIONS = int(os.environ.get("QUANTUMFLOW_TEST_PARTITIONS", "0"))
PARTITIONED = {
    "workflow_runs": "id",
    "step_states": "run_id",
    "step_tasks": "run_id",
    "task_failures": "run_id",
}
WORKERS = 2
LAST_WORDS = re.compile(r"^select \* from finish\(\);\s+rollback;\s*\Z", re.MULTILINE)
TIMEOUT = 300  # seconds a file may take


@dataclass(frozen=True)
class Result:
    """What came of one file."""

    file: Path
    passed: int
    problems: list[str]
    output: str


def problems_of(output: str, exit_code: int) -> tuple[int, list[str]]:
    """Read a script's output as TAP: how many assertions passed, and what is wrong."""
    problems = []
    if exit_code != 0:
        problems.append(f"psql ended with {exit_code}")
    if re.search(r"^psql:.*(ERROR|FATAL|PANIC):", output, re.MULTILINE):
        problems.append("an error was raised")

    plans = re.findall(r"^1\.\.(\d+)(.*)$", output, re.MULTILINE)
    lines = re.findall(r"^(not )?ok (\d+)(.*)$", output, re.MULTILINE)
    failed = [number for bad, number, rest in lines if bad and "# TODO" not in rest]
    numbers = [int(number) for _, number, _ in lines]
    if len(plans) != 1:
        problems.append(f"{len(plans)} plans instead of one")
    elif numbers != list(range(1, int(plans[0][0]) + 1)):
        problems.append(f"planned {plans[0][0]} assertions, ran {len(numbers)}")
    elif not numbers:
        problems.append("asserts nothing")
    if failed:
        problems.append(f"not ok: {', '.join(failed)}")
    return len(numbers) - len(failed), problems


def run(file: Path, psql: Path, dsn: str) -> Result:
    """Run one file."""
    command: list[str | Path] = [psql, "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", dsn]
    command += ["-f", file.name]
    environment = os.environ | {
        "PGOPTIONS": "-c client_min_messages=warning -c timezone=UTC",
        "LC_ALL": "C.UTF-8",
    }
    try:
        done = subprocess.run(
            command,
            check=False,
            cwd=file.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace")
        return Result(file, 0, [f"not finished in {TIMEOUT} s"], said)
    passed, problems = problems_of(done.stdout, done.returncode)
    if not LAST_WORDS.search(file.read_text("utf-8")):
        problems.append('does not end with "select * from finish();" and "rollback;"')
    return Result(file, passed, problems, done.stdout)


def contents(psql: Path, dsn: str) -> str:
    """How many objects and rows a database has, to notice what was not rolled back."""
    command: list[str | Path] = [psql, "-XAt", "-v", "ON_ERROR_STOP=1", "-d", dsn]
    command += ["-f", FOLDER / "contents.psql"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def find(where: list[str]) -> list[Path]:
    """The test files in the folders and files asked for; all without any."""
    found = set()
    for name in where or [str(FOLDER)]:
        candidates = [Path(name), FOLDER / name, FOLDER / f"{name}.sql"]
        start = next((path for path in candidates if path.exists()), None)
        if start is None:
            sys.exit(f"there is no {name} in {FOLDER.name}")
        found |= {start.resolve()} if start.is_file() else set(start.resolve().rglob("*.sql"))
    # What psql scripts include is no test.
    return sorted(file for file in found if "fixtures" not in file.parts)


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
        # Not every installation has one; the newest speaks with all servers.
        psql = next(
            b / "psql" for b in (server.bindir, _find_bindir("embedded")) if (b / "psql").exists()
        )
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
