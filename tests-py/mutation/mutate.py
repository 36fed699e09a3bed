"""Breaks the extension on purpose, one thing at a time, and sees whether the tests notice.

python -m mutation.mutate [--jobs N] [WORD...]: those whose name or function holds one of the words.
python -m mutation.mutate --docs: write the table of docs/guarantees.md.

The mutations are in mutations.py. Each is applied in a copy of this repository, where its tests
run, and one of them must fail: then it is caught. `make test` sees to it that they pass without it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutation.mutations import MUTATIONS, Mutation
from support.server import REPOSITORY

CACHE = REPOSITORY / ".cache"
PAGE = REPOSITORY / "docs" / "guarantees.md"
BEGIN = "<!-- Written by `make mutate-docs` from tests-py/mutation/mutations.py. -->\n"
COPIED = ("extension", "python-client/src", "tests-py", "tests-sql", "tools", ".cache/pgtap")
# A mutant that cannot run a workflow at all says nothing about the tests that should catch it.
SMOKE = "tests-sql/task/a_null_output_is_stored_as_json_null.sql"


def sources(repository: Path = REPOSITORY) -> dict[Path, str]:
    """The parts of the extension's script, by where they are in the repository."""
    found = sorted((repository / "extension" / "sql").rglob("*.sql"))
    return {path.relative_to(repository): path.read_text("utf-8") for path in found}


def mutate(mutation: Mutation, texts: dict[Path, str]) -> tuple[Path, str]:
    """The file that a mutation changes, and its new text.

    Raises:
        LookupError: The function is not there, or the text is not in it exactly once.
    """
    begin = f"create function quantumflow.{mutation.function}("
    found = [(path, text) for path, text in texts.items() if begin in text]
    if len(found) != 1:
        raise LookupError(f"{mutation.name}: {len(found)} functions {mutation.function}")
    path, text = found[0]
    start = text.index(begin)
    end = text.index(f"\ncomment on function quantumflow.{mutation.function}(", start)
    body = text[start:end]
    if body.count(mutation.old) != 1:
        raise LookupError(f"{mutation.name}: the text is {body.count(mutation.old)} times in it")
    return path, text[:start] + body.replace(mutation.old, mutation.new) + text[end:]


def copy_repository(source: Path, folder: Path) -> None:
    """Copy what the tests need, but for what a build that is under way writes."""
    ignored = shutil.ignore_patterns("__pycache__", "*.sql.[0-9]*")
    for name in COPIED:
        shutil.copytree(source / name, folder / name, ignore=ignored)
    shutil.copy(source / "pyproject.toml", folder)


def run_tests(folder: Path, tests: tuple[str, ...]) -> bool:
    """Run tests in a copy; whether they passed."""
    in_sql = [test for test in tests if test.startswith("tests-sql/")]
    in_python = [test for test in tests if test.startswith("tests-py/")]
    assert len(in_sql) + len(in_python) == len(tests), tests
    commands = []
    if in_sql:
        commands.append(["tests-sql/run.py", *(str(folder / test) for test in in_sql)])
    if in_python:
        commands.append(["-m", "pytest", "-qx", "--no-header", *in_python])
    # What is installed is the repository's: the copy has its own.
    ours = [str(folder / part / "src") for part in ("python-client", "tools")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(ours)}
    for command in commands:
        done = subprocess.run(
            [sys.executable, *command],
            check=False,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode == 1:
            return False
        if done.returncode != 0:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout}")
    return True


def try_mutation(mutation: Mutation, source: Path) -> str:
    """Apply a mutation in a copy and run its tests: caught, survived, or what went wrong."""
    path, text = mutate(mutation, sources(source))
    with tempfile.TemporaryDirectory(prefix="mutant-", dir=CACHE) as name:
        folder = Path(name)
        copy_repository(source, folder)
        (folder / path).write_text(text, "utf-8")
        try:
            if not run_tests(folder, (SMOKE,)):
                return "cannot run a workflow"
            return "survived" if run_tests(folder, mutation.tests) else "caught"
        except RuntimeError as error:
            return f"no result: {error}"


def table() -> str:
    """The section of the guarantees' page."""
    lines = [
        BEGIN,
        "| What is broken | in | so that these tests fail |",
        "|---|---|---|",
    ]
    for mutation in MUTATIONS:
        names = sorted({_shown(test) for test in mutation.tests})
        lines.append(f"| {mutation.name} | `{mutation.function}` | {', '.join(names)} |")
    return "\n".join(lines) + "\n"


def _shown(test: str) -> str:
    file = test.partition("::")[0]
    return f"[{Path(file).stem.replace('_', ' ')}](../{file})"


def with_table(page: str) -> str:
    """The page with the table of now; it ends with the next heading."""
    before, found, after = page.partition(BEGIN)
    if not found:
        raise LookupError(f"{PAGE.name} has no line {BEGIN.strip()}")
    rest = re.search(r"^## ", after, re.MULTILINE)
    return before + table() + ("\n" + after[rest.start() :] if rest else "")


def main() -> int:
    """Try the mutations that were asked for; 0 when all are caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutations that hold one of them")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--docs", action="store_true", help="write the table instead")
    arguments = parser.parse_args()
    if arguments.docs:
        PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
        return 0

    words = arguments.words
    chosen = [
        m for m in MUTATIONS if not words or any(w in f"{m.function}: {m.name}" for w in words)
    ]
    started = time.monotonic()
    bad = 0
    with (
        tempfile.TemporaryDirectory(prefix="mutants-", dir=CACHE) as source,
        ThreadPoolExecutor(arguments.jobs) as pool,
    ):
        # From one moment, whatever is edited or built meanwhile.
        copy_repository(REPOSITORY, Path(source))
        outcomes = pool.map(lambda mutation: try_mutation(mutation, Path(source)), chosen)
        for mutation, outcome in zip(chosen, outcomes, strict=True):
            bad += outcome != "caught"
            print(f"{outcome}: {mutation.function}: {mutation.name}", flush=True)
    seconds = time.monotonic() - started
    print(f"{len(chosen) - bad} of {len(chosen)} mutations caught in {seconds:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
