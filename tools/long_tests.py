"""Runs what is long, part after part, and writes what each saw into docs/testing.md.

long_tests.py [PART...]: only these parts; what the page says of the others stays.

Each part is a command of the Makefile. A part that fails stops no other; then it ends with 1. What
a part says is shown, and kept below .cache/test-long.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
LOGS = REPOSITORY / ".cache" / "test-long"
PAGE = REPOSITORY / "docs" / "testing.md"
BEGIN = "<!-- What follows is written by `make test-long`. -->\n"


@dataclass(frozen=True, slots=True)
class Part:
    """What runs, and which lines of its output tell how it went.

    Attributes:
        what: In words, for the page.
        command: Arguments of make.
        summary: Finds what is quoted on the page; nothing that names a place of this machine.
    """

    what: str
    command: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a part went."""

    part: Part
    passed: bool
    seconds: float
    said: list[str]


PYTEST = r"^(?:FAILED|ERROR) tests-py/\S+|^\d+ (?:passed|failed).* in [\d.]+s"
CHAOS = (
    r"^(?:seed|tasks completed|runs|worker .*|handlers .*|server crashed|queue dropped"
    r"|statement_timeout|NOTIFY queue full|redelivered|effects|lost|doubled|innocent runs failed"
    r"|problems) {2,}\w.*"
)
SYSTEM = "QUANTUMFLOW_TEST_SERVER=system"
PARTS = {
    "python": Part("the long Python tests", ("test-py", "MARKED=long"), PYTEST),
    "system": Part(
        "the Python tests on the system's PostgreSQL, with what `make test` leaves out there",
        ("test-py", "MARKED=system", SYSTEM),
        PYTEST,
    ),
    "random": Part(
        "the Python tests of chance, with more of it, new each time",
        (
            "test-py",
            "WHERE=tests-py/model tests-py/fuzz tests-py/races/test_joins.py",
            "QUANTUMFLOW_JOINS=1000",
            "QUANTUMFLOW_MODEL_EXAMPLES=500",
            "QUANTUMFLOW_GRAPHS=10000",
            "QUANTUMFLOW_FUZZ_EXAMPLES=200",
            "PYTEST_OPTIONS=--timeout=3600",
        ),
        PYTEST,
    ),
    "chance": Part(
        "the Python tests of chance on the system's PostgreSQL",
        ("test-py", "WHERE=tests-py/model tests-py/fuzz", SYSTEM),
        PYTEST,
    ),
    "chaos": Part("work while everything breaks", ("chaos",), CHAOS),
    "matrix": Part(
        "the SQL tests on other versions",
        ("test-matrix",),
        r"^\d+ of \d+ SQL test files passed .*",
    ),
    "mutation": Part(
        "whether the tests notice broken SQL",
        ("mutate",),
        r"^(?!caught)\w[\w ]*: \w+: .*|^\d+ of \d+ mutations caught .*",
    ),
}
SYSTEM_POSTGRES = Path("/usr/lib/postgresql/15/bin/initdb")


def run(name: str, part: Part) -> Outcome:
    """Run a part, showing what it says."""
    print(f"\n--- {name}: make {' '.join(part.command)}", flush=True)
    started = time.monotonic()
    said = []
    with (
        (LOGS / f"{name}.log").open("w") as log,
        subprocess.Popen(
            ["make", *part.command],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            log.write(line)
            if found := re.search(part.summary, line.rstrip()):
                said.append(found[0])
    return Outcome(part, process.returncode == 0, time.monotonic() - started, said)


def entry(name: str, outcome: Outcome, at: datetime) -> str:
    """What the page says of a part that ran."""
    what = outcome.part.what
    command = " ".join(f"'{word}'" if " " in word else word for word in outcome.part.command)
    ended = "passed" if outcome.passed else "**failed**"
    lines = [
        f"### {name}",
        "",
        f"{what[0].upper()}{what[1:]}, `make {command}`: {ended} in {_shown(outcome.seconds)}.",
        f"{at:%Y-%m-%d %H:%M} UTC, commit {_commit()}, Python {platform.python_version()},",
        f"{platform.system()} {platform.machine()} with {os.cpu_count()} processors.",
    ]
    if outcome.said:
        lines += ["", "```text", *outcome.said, "```"]
    return "\n".join(lines) + "\n"


def with_entry(page: str, version: str, name: str, text: str) -> str:
    """The page with what a part said last: the newest version first, parts in order."""
    before, found, after = page.partition(BEGIN)
    if not found:
        raise LookupError(f"{PAGE.name} has no line {BEGIN.strip()}")
    versions = {version: ""} | _parted(after, "## ")
    entries = _parted(versions[version], "### ") | {name: text}
    ordered = sorted(entries, key=[*PARTS, *entries].index)
    versions[version] = "\n".join([f"## {version}\n", *(entries[part] for part in ordered)])
    return before + BEGIN + "\n" + "\n".join(versions.values())


def _parted(text: str, head: str) -> dict[str, str]:
    """The text's parts by what stands in their headings."""
    parts = re.split(rf"^(?={head})", text, flags=re.MULTILINE)
    return {
        part.partition("\n")[0].removeprefix(head): part.strip() + "\n"
        for part in parts
        if part.startswith(head)
    }


def _shown(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], check=False, cwd=REPOSITORY, capture_output=True, text=True
        )
        return done.stdout.strip()

    commit = git("rev-parse", "--short=10", "HEAD")
    if not commit:
        return "unknown"
    changed = git("status", "--porcelain", "--", ".", f":!{PAGE.relative_to(REPOSITORY)}")
    return commit + (" and changes since" if changed else "")


def _version() -> str:
    control = (REPOSITORY / "extension" / "quantumflow.control").read_text("utf-8")
    found = re.search(r"^default_version = '(.+)'", control, re.MULTILINE)
    assert found is not None
    return found[1]


def main(names: list[str]) -> int:
    """Run the parts asked for, by default all; 0 when all passed."""
    if unknown := set(names) - set(PARTS):
        sys.exit(f"there is no part {', '.join(sorted(unknown))}, but {', '.join(PARTS)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    chosen = {name: part for name, part in PARTS.items() if not names or name in names}
    if not SYSTEM_POSTGRES.exists():
        chosen = {name: part for name, part in chosen.items() if SYSTEM not in part.command}
    passed = True
    for name, part in chosen.items():
        at = datetime.now(timezone.utc)
        outcome = run(name, part)
        passed &= outcome.passed
        text = entry(name, outcome, at)
        print(f"\n{text}")
        PAGE.write_text(with_entry(PAGE.read_text("utf-8"), _version(), name, text), "utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
