"""W0, W1, W4, W5, W6, W8, W9, W11: how many tasks a second, SQL against SQL."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from functools import partial

from benchmarks.bench import Bench, Contestant
from benchmarks.results import slope
from benchmarks.systems import Absurd, Pgflow, Raw
from benchmarks.systems.pgflow import DEFAULT_BATCH
from support.meter.driver import Load, drain
from support.meter.quantumflow import Quantumflow
from support.meter.shapes import CHAIN, MAP, MAP_AND_JOIN, MAP_OF_MAP, SINGLE, diamond
from support.meter.system import State, System

LAYER = 500
OURS = [Quantumflow(), Quantumflow(hands_over=True)]
PGFLOW = [Pgflow(), Pgflow(batch=DEFAULT_BATCH), Pgflow(groups=True)]


def raw(bench: Bench) -> None:
    """W0: the yardstick, by batch size."""
    messages = bench.pick({1: 200, 10: 2_000, 100: 2_000}, {1: 500, 10: 5_000, 100: 20_000})
    contestants = [
        Contestant(Raw(batch, end), Load(messages[batch]))
        for end in ("delete", "archive")
        for batch in messages
    ]
    bench.race("W0", "messages", SINGLE, contestants)


def single(bench: Bench) -> None:
    """W1: many runs of one step."""
    ours, slow = Load(bench.pick(2_000, 10_000)), Load(bench.pick(300, 400))
    contestants = [
        Contestant(Raw(), ours),
        *(Contestant(system, ours) for system in OURS),
        *(Contestant(system, slow) for system in PGFLOW),
        Contestant(Absurd(), slow),
    ]
    bench.race("W1", "single-step", SINGLE, contestants)
    bench.costs("W1", "single-step", SINGLE, contestants)


def chains(bench: Bench) -> None:
    """W4: many chains at once."""
    ours, slow = Load(bench.pick(200, 400)), Load(bench.pick(20, 40))
    contestants = [
        Contestant(Raw(), ours),
        *(Contestant(system, ours) for system in OURS),
        *(Contestant(system, slow) for system in PGFLOW),
        Contestant(Absurd(), slow),
    ]
    bench.race("W4", "chain of 10", CHAIN, contestants)
    bench.costs("W4", "chain of 10", CHAIN, contestants)


def diamonds(bench: Bench) -> None:
    """W5: joins, each of which must fire once."""
    ours, slow = Load(bench.pick(200, 1_000)), Load(bench.pick(20, 50))
    for width in (2, 8):
        bench.race(
            "W5",
            f"1-{width}-1",
            diamond(width),
            [*(Contestant(system, ours) for system in OURS), Contestant(Pgflow(), slow)],
        )


def maps(bench: Bench) -> None:
    """W6: one wide map, with one worker and with four; and one whose outputs are joined."""
    load, slow = Load(items=bench.pick(2_000, 10_000)), Load(items=bench.pick(500, 1_000))
    ours = [Contestant(Raw(), load), *(Contestant(system, load) for system in OURS)]
    others = [Contestant(system, slow) for system in PGFLOW[1:]]
    both = [*ours, Contestant(Pgflow(), load)]
    cases = {"map": (1, [*both, *others]), "map, 4 workers": (4, both)}
    bench.races("W6", MAP, cases, fewer={"pgflow": 3})
    joined = Load(runs=bench.pick(2, 10), items=1_000)
    bench.race(
        "W6",
        "map and join",
        MAP_AND_JOIN,
        [Contestant(Quantumflow(), joined), Contestant(Pgflow(), slow)],
    )
    bench.costs("W6", "map", MAP, [*ours, Contestant(Pgflow(), slow)])


def maps_of_maps(bench: Bench) -> None:
    """W8: an array mapped, and mapped again; and how the time grows with it."""
    load = Load(items=bench.pick(100, 500))
    at_once = Pgflow(batch=load.items)
    bench.race(
        "W8",
        "map of a map",
        MAP_OF_MAP,
        [Contestant(s, load) for s in (*OURS, Pgflow(batch=DEFAULT_BATCH), at_once)],
        fewer={at_once.name: 1},
    )
    sizes = bench.pick((100, 1_000, 5_000), (100, 1_000, 10_000, 100_000))
    bench.size("W8", "growth", ", ".join(f"{size:,}" for size in sizes) + " items")

    def growth() -> dict[str, float]:
        loads = [(size, Load(items=size)) for size in sizes]
        times = [(n, bench.time(Quantumflow(), MAP_OF_MAP, load)["seconds"]) for n, load in loads]
        per_item = {f"us/task at {n}": 1e6 * seconds / (2 * n) for n, seconds in times}
        return {"slope": slope(times), **per_item}

    bench.compare("W8", "growth", [("quantumflow", growth)], fewer={"quantumflow": 3})


def layer(bench: Bench) -> None:
    """W9: many steps between two joins."""
    ours = Load(bench.pick(2, 10))
    bench.race(
        "W9",
        f"1-{LAYER}-1",
        diamond(LAYER),
        [Contestant(Quantumflow(), ours), Contestant(Pgflow(), Load(1))],
    )


def retries(bench: Bench) -> None:
    """W11: one run in ten fails once, one in a hundred for good."""
    ours, slow = bench.pick(2_000, 5_000), 300

    def timed(system: System, failing: _Failing, runs: int) -> dict[str, float]:
        failing.forget()
        with bench.server.database(system.template(bench.server)) as database:
            system.define(database, SINGLE)
            pump = database.pump()
            began = time.perf_counter()
            system.start(pump, SINGLE, Load(runs).inputs())
            drain(system, SINGLE, [pump], runs)
            seconds = time.perf_counter() - began
            failed = sum(failing.is_hopeless(n) for n in range(runs))
            retried = sum(failing.fails_once(n) for n in range(runs))
            attempts = runs + retried + (ATTEMPTS - 1) * failed
            system.expect(database, State(runs, runs - failed, runs, runs - failed, attempts, 0))
        return {"tasks/s": runs / seconds, "attempts/s": attempts / seconds}

    failing = _Failing()
    contestants: Sequence[tuple[System, int]] = [
        (Quantumflow(fails=failing), ours),
        (Pgflow(fails=failing), slow),
    ]
    for system, runs in contestants:
        bench.size("W11", "retries", Load(runs), system.name)
    bench.compare(
        "W11",
        "retries",
        [(s.name, partial(timed, s, failing, runs)) for s, runs in contestants],
    )


ATTEMPTS = 3
"""How often a hopeless task is tried: the default of quantumflow and of pgflow."""


class _Failing:
    """Decides by the number in a run's input."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def __call__(self, task_input: bytes) -> bool:
        found = re.search(rb'"n": ?(\d+)', task_input)
        assert found is not None
        n = int(found[1])
        is_first = n not in self._seen
        self._seen.add(n)
        return self.is_hopeless(n) or (self.fails_once(n) and is_first)

    def forget(self) -> None:
        """Begin again."""
        self._seen.clear()

    @staticmethod
    def is_hopeless(n: int) -> bool:
        return n % 100 == 7

    @staticmethod
    def fails_once(n: int) -> bool:
        return n % 10 == 0
