"""Worker processes: the client's own worker, started again when it was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from chaos.flows import DROPPED_QUEUE, QUEUES
from quantumflow_client.cli._errors import Exit
from support.server import REPOSITORY

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path


class Workers:
    """So many worker processes, whatever happens to them. A context manager that ends them all."""

    def __init__(
        self,
        dsn: str,
        count: int,
        folder: Path,
        *,
        concurrency: int,
        lease: int,
        queues: Sequence[str] = (*QUEUES, DROPPED_QUEUE),
    ) -> None:
        """Describe the workers.

        Args:
            dsn: The database as they see it.
            count: How many work at a time.
            folder: Where their logs go.
            concurrency: How many handlers run at once in each.
            lease: Seconds.
            queues: Which they serve.
        """
        self._options = ["--concurrency", str(concurrency), "--lease", str(lease)]
        self._options += [word for queue in queues for word in ("--queue", queue)]
        self._count = count
        self._folder = folder
        self._environment = os.environ | {
            "QUANTUMFLOW_DSN": dsn,
            "CHAOS_FOLDER": str(folder),
        }
        self._working: list[subprocess.Popen[bytes]] = []
        self._ending: list[subprocess.Popen[bytes]] = []
        self._logs: dict[int, Path] = {}
        self._started = 0
        self.problems: list[str] = []

    def __enter__(self) -> Workers:
        self.refill()
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self._working, *self._ending):
            process.kill()
            process.wait()

    def refill(self) -> None:
        """Replace the workers that have ended; one that did so by itself is a problem."""
        for process in list(self._working):
            if process.poll() is not None:
                self._working.remove(process)
                if not self._may_end(process):
                    self._complain(process, f"ended by itself with {process.returncode}")
        while len(self._working) < self._count:
            self._start()

    def kill(self, chance: random.Random) -> None:
        """Kill a worker, which has no last word."""
        process = self._pick(chance)
        process.kill()
        process.wait()
        self._working.remove(process)
        self._start()

    def stall(self, chance: random.Random, seconds: float) -> None:
        """Let a worker lose time, its leases perhaps, and go on as if nothing had happened."""
        process = self._pick(chance)

        def go_on() -> None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)

        process.send_signal(signal.SIGSTOP)
        threading.Timer(seconds, go_on).start()

    def end(self, chance: random.Random) -> None:
        """Ask a worker to end in order, while another takes its place."""
        process = self._pick(chance)
        process.send_signal(signal.SIGTERM)
        self._working.remove(process)
        self._ending.append(process)
        self._start()

    def end_all(self, patience: float) -> None:
        """Ask all to end in order, and see that they do."""
        for process in self._working:
            process.send_signal(signal.SIGTERM)
        self._ending += self._working
        self._working = []
        for process in self._ending:
            try:
                code = process.wait(patience)
            except subprocess.TimeoutExpired:
                self._complain(process, "does not end when it is asked to")
                continue
            if code not in (Exit.OK, -signal.SIGTERM) and not self._may_end(process):
                self._complain(process, f"was asked to end, and did with {code}")

    def logs(self) -> list[Path]:
        """What the workers said."""
        return sorted(self._folder.glob("worker_*.log"))

    def _may_end(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it had to: too many handlers hang, or one killed it, or there was no database.

        Before it has claimed for the first time it ends when a queue is not there; later, it waits.
        """
        if process.returncode == Exit.NOT_FOUND:
            said = self._logs[process.pid].read_text("utf-8", errors="replace")
            return f'queue "{DROPPED_QUEUE}" does not exist' in said
        return (
            process.returncode in (Exit.UNREACHABLE, Exit.HUNG)
            or (self._folder / f"killed_{process.pid}").exists()
        )

    def _pick(self, chance: random.Random) -> subprocess.Popen[bytes]:
        self.refill()
        return chance.choice(self._working)

    def _start(self) -> None:
        self._started += 1
        file = self._folder / f"worker_{self._started}.log"
        with file.open("wb") as log:
            process = subprocess.Popen(
                [*_COMMAND, *self._options, "--name", f"chaos {self._started}"],
                cwd=REPOSITORY / "tests-py",
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self._logs[process.pid] = file
        self._working.append(process)

    def _complain(self, process: subprocess.Popen[bytes], what: str) -> None:
        self.problems.append(f"worker process {process.pid} {what}")


_COMMAND = [sys.executable, "-m", "quantumflow_client.cli", "worker", "chaos.work:client"]
