"""What is promised about speed, as data: what must be, what is aimed at, and what tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .results import Figure, Key, Results

RAW, OURS, HANDED = "raw pgmq", "quantumflow", "quantumflow, handed over"
PGFLOW = "pgflow"

Measured = Callable[[Results], "Figure | None"]


@dataclass(frozen=True, slots=True)
class Target:
    """One promise.

    Attributes:
        name: What is measured.
        must: The gate.
        aim: What the design should reach; as good as the gate where there is no other.
        unit: Of the figures.
        figure: Finds the figure in the results, if it was measured.
        less_is_better: Whether the figure should be low.
    """

    name: str
    must: float
    aim: float
    unit: str
    figure: Measured
    less_is_better: bool = False

    def verdict(self, figure: Figure) -> str:
        """How the median compares: aim, must or missed."""
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

    def find(results: Results) -> Figure | None:
        found = results.figure(workload, case, measure, OURS)
        return found and found.shifted(-float(results.about["fsync_ms"]))

    return find


def _versus_raw(name: str, must: float, aim: float, *key: str, of: str = OURS) -> Target:
    workload, case = key
    return Target(name, must, aim, "%", _ratio(workload, case, of, RAW, times=100))


def _flat(place: int) -> Measured:
    """The slowest of three workloads beside finished tasks, against an empty database."""

    def find(results: Results) -> Figure | None:
        sizes = results.about.get("finished", ())
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
    Target("map, against pgflow", 17, 25, "x", _ratio("W6", "map", OURS, PGFLOW)),
    Target(
        "single-step runs, against pgflow", 20, 32, "x", _ratio("W1", "single-step", OURS, PGFLOW)
    ),
    Target("chain of 10, against pgflow", 22, 35, "x", _ratio("W4", "chain of 10", OURS, PGFLOW)),
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
        _ratio("W6", "map, 4 workers", OURS, PGFLOW),
    ),
    Target(
        "500 mapped, and mapped again, against pgflow",
        300,
        1_000,
        "x",
        _ratio("W8", "map of a map", OURS, PGFLOW),
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
        lambda results: results.ratio(
            Key("W7", "chunks of 50", "items/s", OURS),
            Key("W7", "chunks of 50", "tasks/s", RAW),
            100,
        ),
    ),
    Target(
        "map of 100,000: start_flow returns",
        2.5,
        1.2,
        "s",
        _value("W7", "one task an item", "start s"),
        less_is_better=True,
    ),
    Target(
        "map of 100,000: first task after that",
        0.1,
        0.02,
        "s",
        _value("W7", "one task an item", "first task s"),
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
            _value(workload, case, measure),
            less_is_better=True,
        )
        for what, measure, must, aim in (
            ("commits", "commits", 0.03, 0.02),
            ("statements, nested ones too,", "statements", 0.5, 0.3),
        )
        for task, workload, case in (
            ("map task", "W6", "map"),
            ("single-step run", "W1", "single-step"),
            ("chain step", "W4", "chain of 10"),
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
        "log a byte of output, map of 64 kB",
        2.7,
        2.7,
        "x",
        _value("W13", "map, 64 kB", "log bytes a byte"),
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
    Target("throughput beside finished tasks (1 million), against none", 0.90, 0.95, "", _flat(0)),
    Target("throughput beside finished tasks (10 million), against none", 0.90, 0.95, "", _flat(1)),
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
        _ratio("W1", "SDK", OURS, "procrastinate"),
    ),
    Target("Python, single-step, against absurd", 8, 20, "x", _ratio("W1", "SDK", OURS, "absurd")),
    Target(
        "Python, single-step, against DBOS's queue",
        5,
        10,
        "x",
        _ratio("W1", "SDK", OURS, "DBOS queue"),
    ),
    Target(
        "Python, single-step, against pgqueuer", 1.2, 2, "x", _ratio("W1", "SDK", OURS, "pgqueuer")
    ),
    Target(
        "Python, a chain of 10 alone, latency against absurd",
        1.2,
        1.0,
        "x",
        _ratio("W3", "SDK", OURS, "absurd", "run ms p50"),
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
