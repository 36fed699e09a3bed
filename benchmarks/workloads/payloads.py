"""W13: outputs of some size: how much log a byte of them costs, and how fast they go."""

from __future__ import annotations

import base64
import os
import time
from functools import partial

from benchmarks.bench import Bench
from support.meter.driver import Load
from support.meter.quantumflow import Quantumflow
from support.meter.shapes import MAP, MAP_AND_JOIN, SINGLE, Shape, chain

_SMALL = b'{"ok": true}'


def outputs(bench: Bench) -> None:
    """Outputs of an inner step and of a leaf, of one task or of a map's tasks."""
    part = bench.pick(5, 1)
    for name, size, most in (("1 kB", 1_000, 500), ("64 kB", 64_000, 100), ("1 MB", 10**6, 10)):
        count = most // part
        shapes = {
            "inner step": (chain(2), Load(count)),
            "leaf": (SINGLE, Load(count)),
            "inner map": (MAP_AND_JOIN, Load(items=count)),
            "leaf map": (MAP, Load(items=count)),
        }
        for kind, (shape, load) in shapes.items():
            case = f"{kind}, {name}"
            bench.size("W13", case, f"{count:,} tasks")
            bench.compare(
                "W13",
                case,
                [("quantumflow", partial(_amplified, bench, shape, load, size))],
                fewer={"quantumflow": 3},
            )


def _amplified(bench: Bench, shape: Shape, load: Load, size: int) -> dict[str, float]:
    """How many bytes of log a byte of output costs: what it adds to the same work without it."""
    # Hardly compressible: what it takes is what it is.
    payload = b'"' + base64.b64encode(os.urandom(size * 3 // 4)) + b'"'
    without, _ = _written(bench, shape, load, _SMALL)
    written, seconds = _written(bench, shape, load, payload)
    count = load.items or load.runs
    return {
        "log bytes a byte": (written - without) / (count * len(payload)),
        "MB/s": count * size / seconds / 1e6,
    }


def _written(bench: Bench, shape: Shape, load: Load, output: bytes) -> tuple[float, float]:
    """The bytes of log, and the seconds, of work whose first step has that output."""
    system = Quantumflow(batch=min(100, 4_000_000 // len(output)))
    with (
        bench.prepared(system, shape, load) as (_, pumps),
        bench.server.admin() as admin,
    ):
        pump = pumps[0]
        before = admin.execute("select pg_current_wal_insert_lsn()::text").fetchone()
        began = time.perf_counter()
        system.start(pump, shape, load.inputs())
        left = load.tasks(shape)
        while left:
            tasks = system.claim(pump)
            first = [task for task in tasks if task[1].decode() == shape.steps[0].name]
            rest = [task for task in tasks if task not in first]
            left -= system.complete(pump, shape, first, output) + system.complete(pump, shape, rest)
        seconds = time.perf_counter() - began
        written = admin.execute(
            "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s::pg_lsn)::float", before
        ).fetchone()
    assert written is not None
    return written[0], seconds
