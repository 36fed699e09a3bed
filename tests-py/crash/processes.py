"""Starting worker processes, and stopping them however the test goes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import IO, TYPE_CHECKING

from support.server import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def worker_process(
    kind: str, behaviour: str, dsn: str, output: IO[str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run crash.worker_program, and kill it at the end if it still runs.

    Args:
        kind: plain or client.
        behaviour: hang, die, work or load.
        dsn: The database.
        output: Where its standard output goes; by default a pipe.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "crash.worker_program", kind, behaviour, dsn],
        stdout=subprocess.PIPE if output is None else output,
        text=True,
        cwd=REPOSITORY / "tests-py",
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def load_processes(dsn: str, count: int, folder: Path) -> Iterator[list[Path]]:
    """Run worker processes under load; answers the files that their answers go to."""
    files = [folder / f"answers_{n}" for n in range(count)]
    with contextlib.ExitStack() as stack:
        for file in files:
            output = stack.enter_context(file.open("w", encoding="utf-8"))
            stack.enter_context(worker_process("plain", "load", dsn, output))
        yield files
