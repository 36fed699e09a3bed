"""What the programs of the second tier have in common. They run in the peers' environments.

A program is called as `NAME.py COMMAND OPTIONS`, the options being JSON, and answers on its
standard output with lines of JSON. The commands, besides the options dsn and url:

    install                    makes the system's tables
    throughput  tasks, ...     {"seconds"}: tasks that do nothing, from first call to last commit
    chain       runs, steps    {"run_ms", "first_ms", "hand_off_ms": [...]} for each run
    serve       ...            {"ready"}, then for each task {"ms"} since it was sent
    send        count, every   sends tasks that say when they were sent

Times are of the monotonic clock, which the processes of a machine share.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

_LOOK = 0.005


def main(**commands: Callable[..., None]) -> None:
    """Run the command that was asked for."""
    command, options = sys.argv[1], json.loads(sys.argv[2])
    commands[command](**options)


def answer(**values: Any) -> None:
    """Answer with a line."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def now() -> int:
    """The time in nanoseconds, on a clock that the processes of a machine share."""
    return time.monotonic_ns()


def answer_delay(sent_ns: int) -> None:
    """Answer how long ago a task was sent."""
    answer(ms=(time.monotonic_ns() - sent_ns) / 1e6)


def pace(count: int, every: float, send: Callable[[int], Any]) -> None:
    """Send so many tasks, each some seconds after the one before, with the time in it."""
    for _ in range(count):
        time.sleep(every)
        send(now())


class Countdown:
    """Counts handler calls, and finds the moment when the last result is stored.

    Args:
        tasks: How many there will be.
        dsn: The database.
        left: Counts what is not done yet.
        stop: Called from another thread when all is done.
    """

    def __init__(self, tasks: int, dsn: str, left: str, stop: Callable[[], Any]) -> None:
        self._tasks = tasks
        self._dsn = dsn
        self._left = left
        self._stop = stop
        self._all_called = threading.Event()
        self._lock = threading.Lock()
        self._called = 0
        self._began = time.perf_counter()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def called(self) -> None:
        """A handler was called."""
        with self._lock:
            self._called += 1
            if self._called == self._tasks:
                self._all_called.set()

    def finish(self) -> None:
        """Answer how long all took."""
        self._thread.join()
        answer(seconds=self._seconds, called=self._called)

    def _watch(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            self._all_called.wait()
            while connection.execute(self._left.encode()).fetchone() != (0,):
                time.sleep(_LOOK)
        self._seconds = time.perf_counter() - self._began
        self._stop()


class Steps:
    """When the steps of one run began and ended."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._times: list[tuple[int, int]] = []
        self._over = threading.Event()
        self._began = time.monotonic_ns()

    def step(self) -> None:
        """A step that does nothing."""
        began = time.monotonic_ns()
        self._times.append((began, time.monotonic_ns()))
        if len(self._times) == self._steps:
            self._over.set()

    def finish(self) -> None:
        """Wait for the last step, and answer."""
        if not self._over.wait(60):
            raise TimeoutError(f"{len(self._times)} steps of {self._steps}")
        pairs = zip(self._times, self._times[1:], strict=False)
        answer(
            run_ms=(self._times[-1][1] - self._began) / 1e6,
            first_ms=(self._times[0][0] - self._began) / 1e6,
            hand_off_ms=[(after[0] - before[1]) / 1e6 for before, after in pairs],
        )
