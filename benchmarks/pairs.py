"""make pairs: the engine at hand and another one by turns, block after block.

Each has a database of its own on one server, and one connection. Both do the same block of work,
one right after the other, and the next time the other way round; what counts is the ratio of two
neighbours, and of these ratios the median. A machine that is slow for a second, or for an hour, is
so for both. Besides the time a block takes there is what its backend used of the processor (its
own clock, so neighbours count little) and what it wrote to the log.

In the place of the other engine there may be a peer, by its SQL functions.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.systems import Absurd
from quantumflow_client import _extension
from support.meter.driver import Load, drain
from support.meter.quantumflow import Quantumflow
from support.meter.server import Database, Server
from support.meter.shapes import CHAIN, MAP, SINGLE, Shape
from support.meter.system import System, WrongError
from support.server import REPOSITORY

RELEASED = REPOSITORY / "extension" / "releases" / "quantumflow--0.3.0.sql"
BUILT = REPOSITORY / "extension" / f"quantumflow--{_extension.version()}.sql"
SETTINGS = {"autovacuum": "off"}
_VACUUM_EVERY = 5


@dataclass(frozen=True, slots=True)
class Spent:
    """What a block of work took: seconds of the backend's processor, of the clock; bytes of log."""

    cpu: float
    wall: float
    wal: float

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.cpu + other.cpu, self.wall + other.wall, self.wal + other.wal)

    @classmethod
    def medians(cls, blocks: Sequence[Spent]) -> Spent:
        """The median of each."""
        return cls(
            statistics.median(block.cpu for block in blocks),
            statistics.median(block.wall for block in blocks),
            statistics.median(block.wal for block in blocks),
        )


@dataclass(frozen=True, slots=True)
class Case:
    """A block of work.

    Attributes:
        name: What is compared.
        shape: The workflow.
        load: How much of it is a block.
        system: How it is worked on.
        block: Does a block and measures what of it counts.
        units: What the figures are divided by.
        peer: What it is compared with, if that is no other engine of ours.
    """

    name: str
    shape: Shape
    load: Load
    system: Quantumflow
    block: Callable[[Case, Side], Spent]
    units: int
    peer: System | None = None


class Side:
    """One of the two: a system in a database of its own, and the connection that drives it.

    Args:
        server: The server.
        database: An empty database of it.
        case: What is to be done there.
        script: The engine's; None: the case's peer.
    """

    def __init__(self, server: Server, database: Database, case: Case, script: Path | None) -> None:
        self.database = database
        self.name = script.name if script else "a peer"
        self.system: System = case.system
        if script:
            install(database, script)
        else:
            assert case.peer is not None
            self.system = case.peer
            self.system.install(database)
            self.name = self.system.name
        self.system.define(database, case.shape)
        self.pump = database.pump()
        self._pid = self.pump.connection.info.backend_pid
        self._log = server.admin()

    def __enter__(self) -> Side:
        self._admin = self._log.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._log.__exit__(None, None, None)

    @contextlib.contextmanager
    def measured(self) -> Iterator[Callable[[], Spent]]:
        """Measure what the block does; what is yielded says it when the block has ended."""
        wal = self._written()
        cpu, wall = self._used(), time.perf_counter()
        spent = Spent(0, 0, 0)
        yield lambda: spent
        spent = Spent(self._used() - cpu, time.perf_counter() - wall, self._written() - wal)

    def _used(self) -> float:
        # The number of another process's clock, as clock_getcpuclockid(3) makes it on Linux.
        return time.clock_gettime((~self._pid << 3) | 2)

    def _written(self) -> float:
        row = self._admin.execute("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
        assert row is not None
        return float(row[0])


def install(database: Database, script: Path) -> None:
    """Install an engine from its script."""
    database.execute("create extension pgmq")
    database.execute(script.read_text("utf-8"))
    database.execute("select quantumflow.setup()")


def _all(case: Case, side: Side) -> Spent:
    """The start of the runs and the work on them."""
    with side.measured() as spent:
        side.system.start(side.pump, case.shape, case.load.inputs())
        _drain(case, side, case.load)
    return spent()


def _starts(case: Case, side: Side) -> Spent:
    """The starts, one by one; the work is done, but not measured."""
    with side.measured() as spent:
        for text in case.load.inputs():
            side.system.start(side.pump, case.shape, [text])
    _drain(case, side, case.load)
    return spent()


def _alone(case: Case, side: Side) -> Spent:
    """Half of the runs, one at a time, took less than this, from the start's call to the end."""
    runs = []
    for text in case.load.inputs():
        with side.measured() as spent:
            side.system.start(side.pump, case.shape, [text])
            _drain(case, side, Load(1))
        runs.append(spent())
    return Spent.medians(runs)


def _hand_offs(case: Case, side: Side) -> Spent:
    """Half of the hand-offs took less: the calls that report a step of a chain and bring the next.

    The runs are worked on one at a time, by a worker that has nothing else.
    """
    hand_offs = []
    for text in case.load.inputs():
        case.system.start(side.pump, case.shape, [text])
        tasks = case.system.claim(side.pump)
        for step in case.shape.steps:
            with side.measured() as spent:
                done, tasks = case.system.exchange(side.pump, case.shape, tasks)
            if (done, len(tasks)) != (1, 0 if step is case.shape.steps[-1] else 1):
                raise WrongError(f"{side.name}: after {step.name} {len(tasks)} tasks")
            if tasks:
                hand_offs.append(spent())
    return Spent.medians(hand_offs)


def _drain(case: Case, side: Side, load: Load) -> None:
    drain(side.system, case.shape, [side.pump], load.tasks(case.shape))


def cases() -> list[Case]:
    """What can be compared."""
    many, items, chains, few = Load(600), Load(items=1_500), Load(60), Load(20)
    by_hundred, handed = Quantumflow(), Quantumflow(hands_over=True)
    one = Quantumflow(batch=1, hands_over=True, commands=[step.name for step in CHAIN.steps])
    return [
        Case("map", MAP, items, by_hundred, _all, items.tasks(MAP)),
        Case("single-step", SINGLE, many, by_hundred, _all, many.tasks(SINGLE)),
        Case("chain", CHAIN, chains, by_hundred, _all, chains.tasks(CHAIN)),
        Case("chain, handed over", CHAIN, chains, handed, _all, chains.tasks(CHAIN)),
        Case("start of a run", SINGLE, Load(100), by_hundred, _starts, 100),
        Case("hand-off, alone, p50", CHAIN, few, one, _hand_offs, 1),
        Case("chain of 10, alone, p50", CHAIN, few, one, _alone, 1),
        Case("chain of 10, alone, p50, absurd", CHAIN, few, one, _alone, 1, Absurd()),
    ]


def compare(
    server: Server, case: Case, scripts: tuple[Path, Path], pairs: int
) -> list[list[Spent]]:
    """What each side spent in each block, in the order of the blocks."""
    with (
        server.database() as theirs,
        server.database() as ours,
        Side(server, theirs, case, None if case.peer else scripts[0]) as other,
        Side(server, ours, case, scripts[1]) as this,
    ):
        sides = (other, this)
        for side in sides:
            for _ in range(3):
                case.block(case, side)
        found: list[list[Spent]] = [[], []]
        with click.progressbar(range(pairs), label=f"{case.name:32}") as numbers:
            for number in numbers:
                if number % _VACUUM_EVERY == 0:
                    for side in sides:
                        server.quiesce(side.database)
                for which in (0, 1) if number % 2 else (1, 0):
                    found[which].append(case.block(case, sides[which]))
        for side in sides:
            _, left = side.system.ended(side.database)
            if left:
                raise WrongError(f"{side.name}, {case.name}: {left} left, or rules that are broken")
    return found


def row(case: Case, found: Sequence[Sequence[Spent]]) -> str:
    """The case's line of the table."""
    base, other = found
    columns = [case.name]
    for what in ("cpu", "wall"):
        before = [1e6 * getattr(spent, what) / case.units for spent in base]
        after = [1e6 * getattr(spent, what) / case.units for spent in other]
        ratios = [b / a for b, a in zip(before, after, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        columns.append(
            f"{statistics.median(before):,.0f} / {statistics.median(after):,.0f} us: "
            f"**{middle:.2f}x** [{low:.2f} to {high:.2f}]"
        )
    log = [statistics.median(spent.wal for spent in side) / case.units for side in found]
    columns.append(f"{log[0]:,.0f} / {log[1]:,.0f} B")
    return f"| {' | '.join(columns)} |"


def table(server: Server, named: Sequence[Case], scripts: tuple[Path, Path], pairs: int) -> str:
    """The cases, a line each."""
    rows = [row(case, compare(server, case, scripts, pairs)) for case in named]
    return "\n".join(["| case | processor | clock | log |", "| --- | --- | --- | --- |", *rows])
