"""The SQL tests: which there are, and how one of them runs.

Each file is a pgTAP script that rolls back what it did. It runs in psql, on a database with pgTAP,
pgmq and quantumflow. It fails when psql does, when a line is "not ok", when the numbers of the
lines are not those of the plan, or when it does not end as it should.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from quantumflow_client.embedded import EmbeddedServer, find_bindir

from .server import REPOSITORY

FOLDER = REPOSITORY / "tests-sql"
PGTAP = REPOSITORY / ".cache" / "pgtap"

_LAST_WORDS = re.compile(r"^select \* from finish\(\);\s+rollback;\s*\Z", re.MULTILINE)
_TIMEOUT = 300  # seconds a file may take


@dataclass(frozen=True)
class Result:
    """What came of one file."""

    file: Path
    passed: int
    problems: list[str]
    output: str


def _problems_of(output: str, exit_code: int) -> tuple[int, list[str]]:
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
            timeout=_TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace")
        return Result(file, 0, [f"not finished in {_TIMEOUT} s"], said)
    passed, problems = _problems_of(done.stdout, done.returncode)
    if not _LAST_WORDS.search(file.read_text("utf-8")):
        problems.append('does not end with "select * from finish();" and "rollback;"')
    return Result(file, passed, problems, done.stdout)


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


def psql_of(server: EmbeddedServer) -> Path:
    """A psql for a server: its own, or the newest, which speaks with all of them."""
    found = (folder / "psql" for folder in (server.bindir, find_bindir("embedded")))
    return next(psql for psql in found if psql.exists())
