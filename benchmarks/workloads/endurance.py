"""W14, W16: full tables, and old snapshots."""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg

from benchmarks.bench import Bench
from benchmarks.peers import UnavailableError
from benchmarks.results import Key
from benchmarks.systems import Absurd, Pgflow, Raw
from support.meter.driver import Load, drain
from support.meter.quantumflow import Quantumflow
from support.meter.server import Database, Pump
from support.meter.shapes import CHAIN, MAP, SINGLE, Shape
from support.meter.system import System, WrongError

# How finished rows are copied: for each table the column that names the run, and what replaces
# which of its columns; new_id is the copy's run, other_id another new key.
_COPIED = {
    "quantumflow": {
        "quantumflow.workflow_runs": ("id", {"id": "new_id"}),
        "quantumflow.step_states": ("run_id", {"run_id": "new_id"}),
        "quantumflow.step_tasks": ("run_id", {"run_id": "new_id"}),
    },
    "pgflow": {
        "pgflow.runs": ("run_id", {"run_id": "new_id"}),
        "pgflow.step_states": ("run_id", {"run_id": "new_id"}),
        "pgflow.step_tasks": ("run_id", {"run_id": "new_id"}),
    },
    "absurd": {
        "absurd.t_bench": ("task_id", {"task_id": "new_id", "last_attempt_run": "other_id"}),
        "absurd.r_bench": ("task_id", {"task_id": "new_id", "run_id": "other_id"}),
    },
}


def flat(bench: Bench) -> None:
    """W14: the same work in an empty database, and beside very many finished tasks.

    The finished tasks are copies of the rows of runs that were really done.
    """
    many, few = bench.pick((2_000, 300), (10_000, 400))
    all_shapes = {"single-step": SINGLE, "chain of 10": CHAIN, "map": MAP}
    for system, shapes, load, sizes in (
        (Quantumflow(), all_shapes, many, bench.pick((20_000, 100_000), (1_000_000, 10_000_000))),
        (Pgflow(), {"single-step": SINGLE}, few, bench.pick((2_000,), (100_000,))),
        (Absurd(), {"single-step": SINGLE}, few, bench.pick((20_000,), (1_000_000,))),
    ):
        try:
            with contextlib.ExitStack() as stack:
                databases = {
                    size: stack.enter_context(_filled(bench, system, shapes, size))
                    for size in sizes
                }
                _beside(bench, system, shapes, load, databases)
        except (UnavailableError, WrongError) as error:
            bench.give_up("W14", system.name, error)


def _beside(
    bench: Bench,
    system: System,
    shapes: dict[str, Shape],
    tasks: int,
    databases: dict[int, Database],
) -> None:
    # What the filling wrote shall be on the disk before anything is timed.
    with bench.server.admin() as admin:
        admin.execute("checkpoint")
    os.sync()
    contestants = []
    for name, shape in shapes.items():
        load = Load(items=tasks) if name == "map" else Load(tasks // len(shape.steps))

        def alone(shape: Shape = shape, load: Load = load) -> dict[str, float]:
            with _filled(bench, system, shapes, 0) as database:
                return _rate(bench, database, system, shape, load)

        measures: dict[int, Callable[[], dict[str, float]]] = {0: alone}
        for size, database in databases.items():
            measures[size] = partial(_rate, bench, database, system, shape, load)
        for size, measure in measures.items():
            case = f"{name}, {size:,} finished"
            bench.size("W14", case, load, system.name)
            contestants.append((case, system.name, measure))
    bench.measure("W14", contestants)


@contextlib.contextmanager
def _filled(
    bench: Bench, system: System, shapes: dict[str, Shape], tasks: int
) -> Iterator[Database]:
    """A database with so many finished tasks; checked at the end."""
    with bench.server.database(system.template(bench.server)) as database:
        for shape in shapes.values():
            system.define(database, shape)
        if tasks:
            shape = shapes.get("chain of 10", SINGLE)
            runs = 1_000 // len(shape.steps)
            pump = database.pump()
            system.start(pump, shape, Load(runs).inputs())
            drain(system, shape, [pump], 1_000)
            _copy(database, _COPIED[system.schema], copies=tasks // 1_000)
            database.execute("vacuum (freeze, analyze)")
        yield database
        _, left = system.ended(database)
        if left:
            raise WrongError(f"{system.name}, {tasks:,} finished: {left} are left")


def _copy(
    database: Database, tables: dict[str, tuple[str, dict[str, str]]], *, copies: int
) -> None:
    """Multiply what is there, a hundred copies a transaction, on a connection a processor."""
    first, (key, _) = next(iter(tables.items()))
    with psycopg.connect(database.dsn(), autocommit=True) as connection:
        connection.execute(f"create table original as select {key} as old_id from {first}".encode())
        statements = [
            _copying(connection, table, column, replaced)
            for table, (column, replaced) in tables.items()
        ]
        fills = [_filled_further(connection, table) for table in tables]
    shares = [min(100, copies - begin) for begin in range(0, copies, 100)]

    def work(mine: list[int]) -> None:
        with psycopg.connect(database.dsn(), autocommit=True) as connection:
            for share in mine:
                with connection.transaction():
                    connection.execute(
                        "create temp table copies on commit drop as "
                        "select old_id, uuidv7() as new_id, uuidv7() as other_id "
                        "from original cross join generate_series(1, %s)",
                        [share],
                    )
                    for statement in statements:
                        connection.execute(statement)

    with ThreadPoolExecutor(_FILLERS) as pool:
        list(pool.map(work, (shares[n::_FILLERS] for n in range(_FILLERS))))
    database.execute("; ".join(("drop table original", *fills)))


_FILLERS = 2


def _filled_further(connection: psycopg.Connection[Any], table: str) -> str:
    """Let copies fill pages as rows do that have grown there; answers how to undo it.

    A row is made small, and grows when it is worked on. Copies come grown, and pages that are full
    of them have room for a small one: then new rows would be made all over the old pages.
    """
    found = connection.execute(
        "select option_value::int from pg_class cross join pg_options_to_table(reloptions) "
        "where oid = %s::regclass and option_name = 'fillfactor'",
        [table],
    ).fetchone()
    if found is None:
        return ""
    connection.execute(f"alter table {table} set (fillfactor = {found[0] + 15})".encode())
    return f"alter table {table} set (fillfactor = {found[0]})"


def _copying(
    connection: psycopg.Connection[Any], table: str, column: str, replaced: dict[str, str]
) -> bytes:
    """The statement that copies a table's rows."""
    found = connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass "
        "and attnum > 0 and not attisdropped and attgenerated = ''",
        [table],
    )
    names = [row[0] for row in found]
    values = [f"c.{replaced[n]}" if n in replaced else f't."{n}"' for n in names]
    quoted = ", ".join(f'"{name}"' for name in names)
    return (
        f"insert into {table} ({quoted}) select {', '.join(values)} from {table} t "
        f"join copies c on c.old_id = t.{column} order by c.new_id"
    ).encode()


def _rate(
    bench: Bench, database: Database, system: System, shape: Shape, load: Load
) -> dict[str, float]:
    pump = database.pump()
    system.start(pump, shape, Load(20).inputs() if not load.items else ["[1, 2, 3]"])
    drain(system, shape, [pump], 20 * len(shape.steps) if not load.items else 3)
    with bench.server.admin() as admin:
        admin.execute("checkpoint")
    began = time.perf_counter()
    system.start(pump, shape, load.inputs())
    drain(system, shape, [pump], load.tasks(shape))
    seconds = time.perf_counter() - began
    database.close()
    return {"tasks/s": load.tasks(shape) / seconds}


def held_snapshot(bench: Bench) -> None:
    """W16: half of its own peak load, while somebody's old snapshot keeps dead rows alive."""
    before, ours, theirs, after = bench.pick((3, 15, 15, 15), (10, 600, 30, 120))
    probe, few = Load(bench.pick(2_000, 10_000)), Load(300)
    for system, load, held in (
        (Quantumflow(), probe, ours),
        (Raw(), probe, theirs),
        (Pgflow(), few, theirs),
    ):
        try:
            # How fast it is at its best, by the median of three.
            peaks = (bench.time(system, SINGLE, load)["tasks/s"] for _ in range(3))
            bench.size("W16", "held", f"{held} s", system.name)
            _hold(bench, system, statistics.median(peaks) / 2, before, held, after)
        except (UnavailableError, WrongError) as error:
            bench.give_up("W16", system.name, error)


def _hold(
    bench: Bench, system: System, rate: float, before: float, held: float, after: float
) -> None:
    with bench.server.database(system.template(bench.server)) as database:
        system.define(database, SINGLE)
        load = _OpenLoad(system, database.pump(), database.pump(), rate)
        load.begin()
        time.sleep(before)
        with psycopg.connect(database.dsn()) as holder:
            holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            holder.execute("select count(*) from pg_class")
            done = load.done
            began = time.monotonic()
            time.sleep(held)
            share = (load.done - done) / (rate * (time.monotonic() - began))
            holder.rollback()
        recovery = load.wait_for_calm(after)
        load.end()
        if (ended := system.ended(database)) != (load.offered, 0):
            raise WrongError(f"{system.name}: {ended} of {load.offered} runs are completed, left")
    bench.results.add(
        "W16",
        "held",
        system.name,
        **{"offered/s": rate, "share served": share, "recovery s": recovery},
    )
    key = Key("W16", "held", "tasks/s", system.name)
    bench.results.traces[key] = load.trace


class _OpenLoad:
    """Starts runs at a fixed rate, by the clock, and works on them with one worker."""

    _TICK = 0.01

    def __init__(self, system: System, starter: Pump, worker: Pump, rate: float) -> None:
        self.offered = 0
        self.done = 0
        self.trace: list[tuple[float, float]] = []
        self._system = system
        self._rate = rate
        self._is_over = False
        self._is_all_offered = False
        self._error: Exception | None = None
        self._offering = threading.Thread(target=self._guarded, args=(self._offer, starter))
        self._others = [
            threading.Thread(target=self._guarded, args=(self._serve, worker)),
            threading.Thread(target=self._guarded, args=(self._watch, None)),
        ]

    def begin(self) -> None:
        for thread in (self._offering, *self._others):
            thread.start()

    def wait_for_calm(self, at_most: float) -> float:
        """Wait until less than half a second's work is waiting; after how many seconds."""
        began = time.monotonic()
        while self.offered - self.done > self._rate / 2 and time.monotonic() - began < at_most:
            time.sleep(self._TICK)
        return round(time.monotonic() - began, 2)

    def end(self) -> None:
        """Offer no more, and let the rest be done."""
        self._is_over = True
        self._offering.join()
        self._is_all_offered = True
        for thread in self._others:
            thread.join()
        if self._error is not None:
            raise self._error

    def _offer(self, pump: Pump) -> None:
        began = time.monotonic()
        while not self._is_over:
            due = int((time.monotonic() - began) * self._rate) - self.offered
            if due > 0:
                self._system.start(pump, SINGLE, ["{}"] * due)
                self.offered += due
            time.sleep(self._TICK)

    def _serve(self, pump: Pump) -> None:
        while not self._is_all_offered or self.done < self.offered:
            done = self._system.work(pump, SINGLE)
            self.done += done
            if not done:
                time.sleep(self._TICK / 10)

    def _watch(self, _: None) -> None:
        began = last = time.monotonic()
        seen = 0
        while not self._is_over:
            time.sleep(1)
            now, done = time.monotonic(), self.done
            self.trace.append((round(now - began, 1), round((done - seen) / (now - last), 1)))
            last, seen = now, done

    def _guarded(self, job, pump) -> None:  # type: ignore[no-untyped-def]
        try:
            job(pump)
        except Exception as error:  # It belongs to the thread that waits for all.
            self._error = error
            self._is_over = True
            self.offered = self.done
