"""make pairs: the engine at hand and another one by turns, block after block.

Each has a database of its own on one server, and one connection. Both do the same block of work,
one right after the other, and the next time the other way round; what counts is the ratio of two
neighbours, and of these ratios the median. A machine that is slow for a second, or for an hour, is
so for both. Besides the time a block takes there is what its backend used of the processor (its
own clock, so neighbours count little) and what it wrote to the log.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from quantumflow_client import _extension
from support.meter.driver import Load, drain
from support.meter.quantumflow import Quantumflow
from support.meter.server import Database, Pump, Server
from support.meter.shapes import CHAIN, MAP, SINGLE, Shape
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


class Side:
    """One of the two: an engine installed from its script, and the connection that drives it."""

    def __init__(self, server: Server, database: Database, script: Path) -> None:
        self._server = server
        self.database = database
        database.execute("create extension pgmq")
        database.execute(script.read_text("utf-8"))
        database.execute("select quantumflow.setup()")
        self.pump = database.pump()
        self._pid = self.pump.connection.info.backend_pid

    @contextlib.contextmanager
    def measured(self) -> Iterator[Callable[[], Spent]]:
        """Measure what the block does; what is yielded says it when the block has ended."""
        begin = self._now()
        end = begin
        yield lambda: Spent(end.cpu - begin.cpu, end.wall - begin.wall, end.wal - begin.wal)
        end = self._now()

    def _now(self) -> Spent:
        with self._server.admin() as admin:
            row = admin.execute("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
        assert row is not None
        # The number of another process's clock, as clock_getcpuclockid(3) makes it on Linux.
        cpu = time.clock_gettime((~self._pid << 3) | 2)
        return Spent(cpu, time.perf_counter(), float(row[0]))


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
    """

    name: str
    shape: Shape
    load: Load
    system: Quantumflow
    block: Callable[[Case, Side], Spent]
    units: int


def _all(case: Case, side: Side) -> Spent:
    """The start of the runs and the work on them."""
    with side.measured() as spent:
        case.system.start(side.pump, case.shape, case.load.inputs())
        _drain(case, side.pump, case.load)
    return spent()


def _starts(case: Case, side: Side) -> Spent:
    """The starts, one by one; the work is done, but not measured."""
    with side.measured() as spent:
        for text in case.load.inputs():
            case.system.start(side.pump, case.shape, [text])
    _drain(case, side.pump, case.load)
    return spent()


def _alone(case: Case, side: Side) -> Spent:
    """The work on one run at a time, from its first claim to its end; the starts do not count."""
    total = Spent(0, 0, 0)
    for text in case.load.inputs():
        case.system.start(side.pump, case.shape, [text])
        with side.measured() as spent:
            _drain(case, side.pump, Load(1))
        total += spent()
    return total


def _drain(case: Case, pump: Pump, load: Load) -> None:
    drain(case.system, case.shape, [pump], load.tasks(case.shape))


def cases() -> list[Case]:
    """What can be compared."""
    many, items, chains, few = Load(600), Load(items=1_500), Load(60), Load(20)
    by_hundred, handed = Quantumflow(), Quantumflow(hands_over=True)
    one = Quantumflow(batch=1, hands_over=True)
    return [
        Case("map", MAP, items, by_hundred, _all, items.tasks(MAP)),
        Case("single-step", SINGLE, many, by_hundred, _all, many.tasks(SINGLE)),
        Case("chain", CHAIN, chains, by_hundred, _all, chains.tasks(CHAIN)),
        Case("chain, handed over", CHAIN, chains, handed, _all, chains.tasks(CHAIN)),
        Case("start of a run", SINGLE, Load(100), by_hundred, _starts, 100),
        Case("hand-off, alone", CHAIN, few, one, _alone, few.tasks(CHAIN)),
    ]


def compare(
    server: Server, case: Case, scripts: tuple[Path, Path], pairs: int
) -> list[list[Spent]]:
    """What each side spent in each block, in the order of the blocks."""
    with server.database() as base, server.database() as other:
        sides = [Side(server, base, scripts[0]), Side(server, other, scripts[1])]
        for side in sides:
            case.system.define(side.database, case.shape)
            for _ in range(3):
                case.block(case, side)
        found: list[list[Spent]] = [[], []]
        with click.progressbar(range(pairs), label=f"{case.name:20}") as numbers:
            for number in numbers:
                if number % _VACUUM_EVERY == 0:
                    for side in sides:
                        server.quiesce(side.database)
                for which in (0, 1) if number % 2 else (1, 0):
                    found[which].append(case.block(case, sides[which]))
        for side in sides:
            if side.database.value("select count(*) from quantumflow.check_state()"):
                raise click.ClickException(f"{case.name}: check_state() names broken rules")
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


def run(scripts: tuple[Path, Path], only: str | None, pairs: int) -> None:
    """Compare two engines, and print a line a case."""
    named = {case.name: case for case in cases()}
    names = list(named) if only is None else [name.strip() for name in only.split(";")]
    if unknown := set(names) - set(named):
        raise click.UsageError(f"there is no {', '.join(sorted(unknown))}, but {'; '.join(named)}")
    with Server(SETTINGS) as server:
        rows = [row(named[n], compare(server, named[n], scripts, pairs)) for n in names]
    click.echo(
        f"\n{scripts[0].name} / {scripts[1].name}, {pairs} pairs of blocks, a task (or start):\n"
    )
    click.echo("| case | processor | clock | log |\n| --- | --- | --- | --- |")
    click.echo("\n".join(rows))
