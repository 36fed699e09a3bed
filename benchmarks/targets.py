"""What is promised about speed, as data: what must be, what is aimed at, and what tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .results import Figure, Key, Results
from .workloads.sdk import FLUSH
from .workloads.starting import CHUNKED

RAW, OURS, HANDED = "raw pgmq", "quantumflow", "quantumflow, handed over"
PGFLOW = ("pgflow", "pgflow, default")
GROUPED = "pgflow, grouped by hand"

Measured = Callable[[Results], "Figure | None"]


@dataclass(frozen=True, slots=True)
class Target:
    """One promise; or, without must and aim, a figure to be shown beside them.

    Attributes:
        name: What is measured.
        must: The gate.
        aim: What the design should reach; as good as the gate where there is no other.
        unit: Of the figures.
        figure: Finds the figure in the results, if it was measured.
        less_is_better: Whether the figure should be low.
    """

    name: str
    must: float | None
    aim: float | None
    unit: str
    figure: Measured
    less_is_better: bool = False

    def verdict(self, figure: Figure) -> str:
        """How the median compares: aim, must or missed; nothing where nothing was promised."""
        if self.must is None or self.aim is None:
            return ""
        sign = -1 if self.less_is_better else 1
        if sign * figure.value >= sign * self.aim:
            return "aim"
        return "must" if sign * figure.value >= sign * self.must else "missed"


def _ratio(
    workload: str, case: str, of: str, to: str, measure: str = "tasks/s", times: float = 1
) -> Measured:
    """How many times as fast one system is as another, round by round."""
    above, below = Key(workload, case, measure, of), Key(workload, case, measure, to)
    return lambda results: results.ratio(above, below, times)


def _ratio_to_best(
    workload: str,
    case: str,
    peer: tuple[str, ...],
    measure: str = "tasks/s",
    *,
    of: str = OURS,
    less_is_better: bool = False,
) -> Measured:
    """How many times as fast one system is as a peer in its fastest configuration."""

    def find(results: Results) -> Figure | None:
        found = {name: results.figure(workload, case, measure, name) for name in peer}
        values = {name: figure.value for name, figure in found.items() if figure is not None}
        if not values:
            return None
        best = (min if less_is_better else max)(values, key=values.__getitem__)
        return _ratio(workload, case, of, best, measure)(results)

    return find


def _cases(workload: str, case: str, base: str, measure: str, system: str = OURS) -> Measured:
    """A case against another one of the same system."""
    above, below = Key(workload, case, measure, system), Key(workload, base, measure, system)
    return lambda results: results.ratio(above, below)


def _value(
    workload: str, case: str, measure: str, system: str = OURS, times: float = 1
) -> Measured:
    """A measured value as it is."""

    def find(results: Results) -> Figure | None:
        found = results.figure(workload, case, measure, system)
        return found and found.scaled(times)

    return find


def _less_fsync(workload: str, case: str, measure: str) -> Measured:
    """A latency without the one flush to disk that every durable answer waits for."""
    latency = Key(workload, case, measure, OURS)
    flush = Key(workload, case, "flush ms", FLUSH)
    return lambda results: results.difference(latency, flush)


def _versus_raw(name: str, must: float, aim: float, *key: str, of: str = OURS) -> Target:
    workload, case = key
    return Target(name, must, aim, "%", _ratio(workload, case, of, RAW, times=100))


def _flat(place: int) -> Measured:
    """The slowest of three workloads beside finished tasks, against an empty database."""

    def find(results: Results) -> Figure | None:
        cases = (k.case for k in results.series if (k.workload, k.system) == ("W14", OURS))
        sizes = sorted({int(case.split(", ")[1].split()[0].replace(",", "")) for case in cases})
        if place >= len(sizes):
            return None
        ratios = (
            results.ratio(
                Key("W14", f"{shape}, {sizes[place]:,} finished", "tasks/s", OURS),
                Key("W14", f"{shape}, 0 finished", "tasks/s", OURS),
            )
            for shape in ("single-step", "chain of 10", "map")
        )
        found = [ratio for ratio in ratios if ratio is not None]
        return min(found, key=lambda ratio: ratio.value) if found else None

    return find


TARGETS = [
    _versus_raw("map, against raw pgmq", 45, 65, "W6", "map"),
    _versus_raw("single-step runs, against raw pgmq", 25, 45, "W1", "single-step"),
    _versus_raw("chain of 10, against raw pgmq", 30, 45, "W4", "chain of 10"),
    _versus_raw(
        "chain with complete_and_claim, against raw pgmq", 40, 60, "W4", "chain of 10", of=HANDED
    ),
    Target("map, against pgflow", 17, 25, "x", _ratio("W6", "map", OURS, "pgflow")),
    Target(
        "single-step runs, against pgflow", 20, 32, "x", _ratio_to_best("W1", "single-step", PGFLOW)
    ),
    Target("chain of 10, against pgflow", 22, 35, "x", _ratio_to_best("W4", "chain of 10", PGFLOW)),
    # The aim is to scale with the cores: two, on the machine that the targets are for.
    Target(
        "one map, 4 workers against 1",
        1.3,
        2,
        "x",
        _cases("W6", "map, 4 workers", "map", "tasks/s"),
    ),
    Target(
        "one map with 4 workers, against pgflow",
        30,
        60,
        "x",
        _ratio("W6", "map, 4 workers", OURS, "pgflow"),
    ),
    Target(
        "500 mapped, and mapped again, against pgflow that reads 500 at once",
        300,
        1_000,
        "x",
        _ratio("W8", "map of a map", OURS, "pgflow, by 500"),
    ),
    Target(
        "growth of time with a map's size, log-log",
        1.05,
        1.0,
        "",
        _value("W8", "growth", "slope"),
        less_is_better=True,
    ),
    Target(
        "map with chunk_size 50, items against raw pgmq",
        150,
        400,
        "%",
        _ratio("W7", "large map", CHUNKED, RAW, "items/s", 100),
    ),
    Target(
        "map of 100,000: start_flow returns",
        2.5,
        1.2,
        "s",
        _value("W7", "large map", "start s"),
        less_is_better=True,
    ),
    Target(
        "map of 100,000: first task after that",
        0.1,
        0.02,
        "s",
        _value("W7", "large map", "first task s"),
        less_is_better=True,
    ),
    Target(
        "log a map task",
        1.35,
        1.1,
        "kB",
        _value("W6", "map", "wal_bytes", times=1e-3),
        less_is_better=True,
    ),
    Target(
        "log a single-step run",
        2.15,
        1.8,
        "kB",
        _value("W1", "single-step", "wal_bytes", times=1e-3),
        less_is_better=True,
    ),
    Target(
        "log a chain step",
        2.0,
        1.7,
        "kB",
        _value("W4", "chain of 10", "wal_bytes", times=1e-3),
        less_is_better=True,
    ),
    Target(
        "log a chain step handed over",
        1.6,
        1.3,
        "kB",
        _value("W4", "chain of 10", "wal_bytes", HANDED, 1e-3),
        less_is_better=True,
    ),
    Target(
        "HOT share of updates, single-step runs",
        98,
        100,
        "%",
        _value("W1", "single-step", "hot_share", times=100),
    ),
    Target("HOT share of updates, map", 98, 100, "%", _value("W6", "map", "hot_share", times=100)),
    Target(
        "HOT share of updates, chain of 10",
        98,
        100,
        "%",
        _value("W4", "chain of 10", "hot_share", times=100),
    ),
    Target(
        "index entries a map task",
        5,
        5,
        "",
        _value("W6", "map", "index_entries"),
        less_is_better=True,
    ),
    Target(
        "index entries a chain step handed over",
        4,
        3,
        "",
        _value("W4", "chain of 10", "index_entries", HANDED),
        less_is_better=True,
    ),
    *(
        Target(
            f"{what} a {task}",
            must,
            aim,
            "",
            _value(workload, case, measure, system),
            less_is_better=True,
        )
        for what, measure, must, aim in (
            ("commits", "commits", 0.03, 0.02),
            ("statements, nested ones too,", "statements", 0.5, 0.3),
        )
        for task, workload, case, system in (
            ("map task", "W6", "map", OURS),
            ("single-step run", "W1", "single-step", OURS),
            ("chain step", "W4", "chain of 10", OURS),
            ("chain step handed over", "W4", "chain of 10", HANDED),
        )
    ),
    Target(
        "log a byte of output, inner step of 64 kB",
        1.6,
        1.2,
        "x",
        _value("W13", "inner step, 64 kB", "log bytes a byte"),
        less_is_better=True,
    ),
    Target(
        "log a byte of output, leaf of 64 kB",
        2.7,
        2.7,
        "x",
        _value("W13", "leaf, 64 kB", "log bytes a byte"),
        less_is_better=True,
    ),
    Target(
        "log a byte of output, inner map of 64 kB",
        2.7,
        2.7,
        "x",
        _value("W13", "inner map, 64 kB", "log bytes a byte"),
        less_is_better=True,
    ),
    Target(
        "log a byte of output, map of 64 kB that is a leaf",
        2.7,
        2.7,
        "x",
        _value("W13", "leaf map, 64 kB", "log bytes a byte"),
        less_is_better=True,
    ),
    Target(
        "hand-off in the same idle worker, p50, less one fsync",
        1.5,
        0.8,
        "ms",
        _less_fsync("W3", "SDK", "hand-off ms p50"),
        less_is_better=True,
    ),
    Target(
        "hand-off in the same idle worker, p99, less one fsync",
        5,
        3,
        "ms",
        _less_fsync("W3", "SDK", "hand-off ms p99"),
        less_is_better=True,
    ),
    Target(
        "first task in another, idle process, p50, less one fsync",
        4,
        2,
        "ms",
        _less_fsync("W12", "1 idle worker", "ms p50"),
        less_is_better=True,
    ),
    Target(
        "first task in another, idle process, p99, less one fsync",
        10,
        6,
        "ms",
        _less_fsync("W12", "1 idle worker", "ms p99"),
        less_is_better=True,
    ),
    Target("throughput beside finished tasks (1 million), against none", 0.90, 0.95, "", _flat(1)),
    Target("throughput beside finished tasks (10 million), against none", 0.90, 0.95, "", _flat(2)),
    *(
        Target(
            f"claim beside {backlog}, against an empty queue",
            1.5,
            1.1,
            "x",
            _cases("W15", case, "empty", "ms p50"),
            less_is_better=True,
        )
        for backlog, case in (
            ("100,000 delayed messages", "delayed"),
            ("100,000 queued", "queued"),
            ("10,000 in flight", "in flight"),
            ("50,000 of another command", "other command"),
            ("500,000 of another command", "other command, more"),
        )
    ),
    Target(
        "half of peak load under an old snapshot: served",
        0.8,
        1.0,
        "",
        _value("W16", "held", "share served"),
    ),
    Target(
        "half of peak load under an old snapshot: recovery",
        60,
        20,
        "s",
        _value("W16", "held", "recovery s"),
        less_is_better=True,
    ),
    Target(
        "Python, single-step, against procrastinate",
        10,
        30,
        "x",
        _ratio_to_best("W1", "SDK", ("procrastinate", "procrastinate, default")),
    ),
    Target(
        "Python, single-step, against absurd",
        8,
        20,
        "x",
        _ratio_to_best("W1", "SDK", ("absurd", "absurd, default")),
    ),
    Target(
        "Python, single-step, against DBOS's queue",
        5,
        10,
        "x",
        _ratio_to_best("W1", "SDK", ("DBOS queue", "DBOS queue, default")),
    ),
    Target(
        "Python, single-step, against pgqueuer",
        1.2,
        2,
        "x",
        _ratio_to_best("W1", "SDK", ("pgqueuer", "pgqueuer, default")),
    ),
    Target(
        "Python, a chain of 10 alone, latency against absurd",
        1.2,
        1.0,
        "x",
        _ratio_to_best(
            "W3", "SDK", ("absurd", "absurd, default"), "run ms p50", less_is_better=True
        ),
        less_is_better=True,
    ),
    Target(
        "Python, a chain of 10 alone, latency against DBOS",
        1.2,
        1.0,
        "x",
        _ratio("W3", "SDK", OURS, "DBOS", "run ms p50"),
        less_is_better=True,
    ),
]
"""The table of the roadmap, row by row; where a row has several figures, each is one here."""

BESIDE = [
    *(
        Target(f"{what}, against pgflow grouped by hand", None, None, "x", figure)
        for what, figure in (
            ("map", _ratio("W6", "map", OURS, GROUPED)),
            ("single-step runs", _ratio("W1", "single-step", OURS, GROUPED)),
            ("chain of 10", _ratio("W4", "chain of 10", OURS, GROUPED)),
        )
    ),
    Target(
        "500 mapped, and mapped again, against pgflow at its default batch of 10",
        None,
        None,
        "x",
        _ratio("W8", "map of a map", OURS, "pgflow, default"),
    ),
    *(
        Target(f"{what}, against raw pgmq", None, None, "%", figure)
        for what, figure in (
            ("map with complete_and_claim", _ratio("W6", "map", HANDED, RAW, times=100)),
            (
                "single-step runs with complete_and_claim",
                _ratio("W1", "single-step", HANDED, RAW, times=100),
            ),
            ("map of 100,000", _ratio("W7", "large map", OURS, RAW, "items/s", 100)),
        )
    ),
    Target(
        "Python, single-step, against pgqueuer with asyncpg",
        None,
        None,
        "x",
        _ratio("W1", "SDK", OURS, "pgqueuer, asyncpg"),
    ),
]
"""What helps to judge the figures of the table."""
