"""W2, W7: starting runs, many and large."""

from __future__ import annotations

import threading
import time
from functools import partial

from benchmarks.bench import Bench
from benchmarks.systems import Pgflow, Raw
from support.meter.driver import Load, drain
from support.meter.quantumflow import Quantumflow
from support.meter.server import Pump
from support.meter.shapes import MAP, MAP_BY_CHUNK, SINGLE, Shape, diamond
from support.meter.system import System


def rates(bench: Bench) -> None:
    """W2: how many runs a second are started, by some clients at once; nobody works meanwhile."""
    for shape, part, clients_at_once in (
        (SINGLE, 1, bench.pick((1, 4), (1, 4, 16))),
        (diamond(18), 10, (1,)),
    ):
        steps = len(shape.steps)
        ours, slow = 1_600 // part, 160 // part
        for clients in clients_at_once:
            each = [(Quantumflow(), ours), (Pgflow(), slow)]
            case = f"{steps}-step, {clients} client{'s' if clients > 1 else ''}"
            for system, runs in each:
                bench.size("W2", case, Load(runs), system.name)
            bench.compare(
                "W2",
                case,
                [(s.name, partial(_one_by_one, bench, s, shape, n, clients)) for s, n in each],
            )
        bench.size("W2", f"{steps}-step, by the hundred", Load(ours))
        bench.compare(
            "W2",
            f"{steps}-step, by the hundred",
            [("quantumflow", partial(_in_bulk, bench, shape, ours))],
        )


def _one_by_one(
    bench: Bench, system: System, shape: Shape, runs: int, clients: int
) -> dict[str, float]:
    load = Load(runs // clients * clients)
    with bench.prepared(system, shape, load, workers=clients) as (_, pumps):

        def start(pump: Pump, inputs: list[str]) -> None:
            for text in inputs:
                system.start(pump, shape, [text])

        inputs = load.inputs()
        threads = [
            threading.Thread(target=start, args=(pump, inputs[n::clients]))
            for n, pump in enumerate(pumps)
        ]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
        drain(system, shape, pumps[:1], load.tasks(shape))
    return {"runs/s": load.runs / seconds}


def _in_bulk(bench: Bench, shape: Shape, runs: int) -> dict[str, float]:
    system, load = Quantumflow(), Load(runs)
    with bench.prepared(system, shape, load) as (_, pumps):
        began = time.perf_counter()
        system.start(pumps[0], shape, load.inputs())
        seconds = time.perf_counter() - began
        drain(system, shape, pumps, load.tasks(shape))
    return {"runs/s": load.runs / seconds}


def large_map(bench: Bench) -> None:
    """W7: a map of very many items: the start, the first task, all of it; and by the chunk."""
    load, few = Load(items=bench.pick(10_000, 100_000)), Load(items=bench.pick(1_000, 2_000))
    bench.size("W7", "large map", load)
    bench.size("W7", "large map", few, "pgflow")
    bench.compare(
        "W7",
        "large map",
        [
            ("raw pgmq", partial(_large, bench, Raw(), MAP, load)),
            ("quantumflow", partial(_large, bench, Quantumflow(), MAP, load)),
            (CHUNKED, partial(_large, bench, Quantumflow(), MAP_BY_CHUNK, load)),
            ("pgflow", partial(_large, bench, Pgflow(), MAP, few)),
        ],
    )


CHUNKED = "quantumflow, chunk_size 50"


def _large(bench: Bench, system: System, shape: Shape, load: Load) -> dict[str, float]:
    (text,) = load.inputs()
    first: dict[str, float] = {}
    with bench.prepared(system, shape, load) as (_, pumps):
        done = 0
        began = time.perf_counter()
        system.start(pumps[0], shape, [text])
        started = time.perf_counter()
        if isinstance(system, Quantumflow):
            tasks = system.claim(pumps[0])
            first["first task s"] = time.perf_counter() - started
            done = system.complete(pumps[0], shape, tasks)
        drain(system, shape, pumps, load.tasks(shape) - done)
        ended = time.perf_counter()
    return {
        "start s": started - began,
        **first,
        "seconds": ended - began,
        "items/s": load.items / (ended - began),
    }
