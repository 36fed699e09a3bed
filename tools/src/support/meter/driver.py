"""Drives work on fresh databases, times it or counts what it costs, and checks what came of it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .counters import Cost, Meter
from .server import Database, Pump, Server
from .shapes import Shape
from .system import System, WrongError

STUCK = 60.0
"""How many seconds without a completed task end a run as wrong."""

_NAP = 0.0005


@dataclass(frozen=True, slots=True)
class Load:
    """How much work: so many runs, each over so many items if the workflow maps its input."""

    runs: int = 1
    items: int = 0

    def inputs(self) -> list[str]:
        """The inputs of the runs, as JSON."""
        if self.items:
            return [json.dumps(list(range(self.items)))] * self.runs
        return [f'{{"n": {n}}}' for n in range(self.runs)]

    def tasks(self, shape: Shape) -> int:
        """How many tasks there are in all."""
        return self.runs * shape.tasks(self.items)

    def __str__(self) -> str:
        runs = f"{self.runs:,} run{'s' if self.runs > 1 else ''}"
        return f"{runs} of {self.items:,} items" if self.items else runs


@dataclass
class Driver:
    """Who has a server do the work of a system."""

    server: Server

    @contextlib.contextmanager
    def prepared(
        self, system: System, shape: Shape, load: Load, *, workers: int = 1, counted: bool = False
    ) -> Iterator[tuple[Database, list[Pump]]]:
        """A fresh database and connections whose plans are made; checked at the end.

        What is done meanwhile must be exactly the load.
        """
        with self.server.database(system.template(self.server)) as database:
            system.define(database, shape)
            pumps = [database.pump(counted=counted) for _ in range(workers)]
            before = Load(runs=2, items=min(load.items, 200)) if load.items else Load(20)
            for pump in pumps:
                system.start(pump, shape, before.inputs())
                drain(system, shape, [pump], before.tasks(shape))
            self.server.quiesce(database)
            yield database, pumps
            system.check(
                database,
                runs=load.runs + before.runs * workers,
                tasks=load.tasks(shape) + before.tasks(shape) * workers,
            )

    def time(
        self, system: System, shape: Shape, load: Load, *, workers: int = 1
    ) -> dict[str, float]:
        """Do a load, the start of its runs included, and check what came of it."""
        inputs, tasks = load.inputs(), load.tasks(shape)
        with self.prepared(system, shape, load, workers=workers) as (_, pumps):
            cpu = self.server.cpu_seconds()
            began = time.perf_counter()
            system.start(pumps[0], shape, inputs)
            started = time.perf_counter()
            drain(system, shape, pumps, tasks)
            ended = time.perf_counter()
            cpu = self.server.cpu_seconds() - cpu
        return {
            "tasks/s": tasks / (ended - began),
            "start s": started - began,
            "seconds": ended - began,
            "server CPU us/task": 1e6 * cpu / tasks,
        }

    def cost(self, system: System, shape: Shape, load: Load) -> Cost:
        """What a load costs a task, besides time."""
        inputs, tasks = load.inputs(), load.tasks(shape)
        with (
            self.prepared(system, shape, load, counted=True) as (database, pumps),
            self.server.admin() as admin,
        ):
            meter = Meter(
                admin,
                database.dsn(),
                wal_folder=self.server.data / "pg_wal",
                pg_waldump=self.server.bindir / "pg_waldump",
                schema=system.schema,
            )
            with meter.measure(tasks) as found:
                system.start(pumps[0], shape, inputs)
                drain(system, shape, pumps, tasks)
        return found[0]


def drain(system: System, shape: Shape, pumps: Sequence[Pump], tasks: int) -> None:
    """Work on every connection at once until so many tasks are done.

    Raises:
        WrongError: Nothing more is done, though tasks are missing.
    """
    progress = _Progress(tasks)
    threads = [
        threading.Thread(target=_work, args=(system, shape, pump, progress)) for pump in pumps[1:]
    ]
    for thread in threads:
        thread.start()
    _work(system, shape, pumps[0], progress)
    for thread in threads:
        thread.join()
    if progress.error is not None:
        raise progress.error
    if progress.done != tasks:
        raise WrongError(f"{system.name}: {progress.done} tasks of {tasks} in {shape.slug}")


class _Progress:
    """How many tasks the workers have done between them."""

    def __init__(self, tasks: int) -> None:
        self.tasks = tasks
        self.done = 0
        self.error: Exception | None = None
        self._seen = time.monotonic()
        self._lock = threading.Lock()

    def add(self, done: int) -> None:
        with self._lock:
            self.done += done
            if done:
                self._seen = time.monotonic()

    @property
    def is_over(self) -> bool:
        stuck = time.monotonic() - self._seen > STUCK
        return self.done >= self.tasks or self.error is not None or stuck


def _work(system: System, shape: Shape, pump: Pump, progress: _Progress) -> None:
    try:
        while not progress.is_over:
            done = system.work(pump, shape)
            progress.add(done)
            if not done:
                time.sleep(_NAP)
    except Exception as error:  # It belongs to the thread that waits for all.
        progress.error = error
