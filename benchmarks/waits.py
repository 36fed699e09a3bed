"""make pairs: what four workers wait for that serve one map and hand it over to themselves.

All of them count the same map down, so it is there that they meet. What each of the backends does
is asked every few milliseconds; an engine's figure is the share of the answers, over all its
rounds. The engines take turns.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from support.meter.driver import Load, drain
from support.meter.quantumflow import Quantumflow
from support.meter.server import Pump, Server
from support.meter.shapes import MAP
from support.meter.system import WrongError

from .pairs import install

NAME = "waits of 4 workers"
WORKERS = 4
_LOAD = Load(items=10_000)
_SYSTEM = Quantumflow(hands_over=True)
_PAUSE = 0.003
_KINDS = ("processor", "Lock", "LWLock", "IO", "Client")
_DOING = """
    select case
      when a.state = 'active' then coalesce(a.wait_event_type, 'processor') else 'Client'
    end
    from pg_stat_activity a
    where a.pid = any (%s)
    """


class Sampler:
    """Asks again and again what some backends do, in a thread of its own."""

    def __init__(self, server: Server, pids: Sequence[int]) -> None:
        self._server = server
        self._pids = list(pids)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.found: Counter[str] = Counter()

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _ask(self) -> None:
        with self._server.admin() as admin:
            while not self._is_over.wait(_PAUSE):
                self.found.update(kind for (kind,) in admin.execute(_DOING.encode(), [self._pids]))


def _round(server: Server, pumps: Sequence[Pump], found: Counter[str]) -> float:
    """One map, started and done; tasks a second, its start left out."""
    _SYSTEM.start(pumps[0], MAP, _LOAD.inputs())
    pids = [pump.connection.info.backend_pid for pump in pumps]
    with Sampler(server, pids) as sampler:
        began = time.perf_counter()
        drain(_SYSTEM, MAP, pumps, _LOAD.items)
        seconds = time.perf_counter() - began
    found.update(sampler.found)
    return _LOAD.items / seconds


def table(server: Server, scripts: tuple[Path, Path], rounds: int) -> str:
    """A line an engine: how fast it was, and the shares of what its backends did."""
    found: list[Counter[str]] = [Counter(), Counter()]
    rates: list[list[float]] = [[], []]
    with ExitStack() as stack:
        databases = [stack.enter_context(server.database()) for _ in scripts]
        pumps = []
        for database, script in zip(databases, scripts, strict=True):
            install(database, script)
            _SYSTEM.define(database, MAP)
            pumps.append([database.pump() for _ in range(WORKERS)])
            _round(server, pumps[-1], Counter())
        with click.progressbar(range(rounds), label=f"{NAME:32}") as numbers:
            for number in numbers:
                for which in (0, 1) if number % 2 else (1, 0):
                    server.quiesce(databases[which])
                    rates[which].append(_round(server, pumps[which], found[which]))
        for database, script in zip(databases, scripts, strict=True):
            if database.value("select count(*) from quantumflow.check_state()"):
                raise WrongError(f"{script.name}, {NAME}: check_state() names broken rules")
    lines = [f"| {NAME} | tasks/s | {' | '.join(_KINDS)} |", "| --- " * (len(_KINDS) + 2) + "|"]
    for script, counts, speeds in zip(scripts, found, rates, strict=True):
        shares = [f"{100 * counts[kind] / counts.total():.1f} %" for kind in _KINDS]
        speed = f"{sorted(speeds)[len(speeds) // 2]:,.0f}"
        lines.append(f"| {' | '.join([script.name, speed, *shares])} |")
    return "\n".join(lines)
