"""Chaos: workers go on with their work while everything around them breaks.

The seed decides the workflows, their inputs, which attempts go wrong, which runs the operator
steers how, and which faults come in which order; the machine decides how they meet.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from chaos import flows, server_log, spells
from chaos.faults import Faults
from chaos.flows import expect
from chaos.runs import (
    HARNESS,
    ROLE,
    Started,
    answer_all,
    ended_runs,
    messages,
    persist,
    prepare,
    settle,
    start,
)
from chaos.server_log import ServerLog
from chaos.verdict import Verdict, judge
from chaos.workers import Workers
from quantumflow_client._connections import Connections
from support.engine import Engine
from support.proxy import Proxy
from support.server import REPOSITORY, build_extension, server_kind, throwaway_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from quantumflow_client.embedded import EmbeddedServer

T = TypeVar("T")

DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "deadlock_timeout": "200ms",
    "max_connections": "400",  # every handler may have one, and the server keeps half-open ones
}

_SMALL_NOTIFY_QUEUE = {"max_notify_queue_pages": "64"}
"""The least there is, from PostgreSQL 17 on; before, the queue holds 8 GB and cannot be filled."""

_BACKLOG = 1500
"""How many messages wait at most before more runs are started."""

_LOOK = 0.5
"""How many seconds pass between two looks at how far the workers are."""

_RUNS_BETWEEN = 2
"""How many runs end between two faults, or a slow machine would do nothing but begin anew."""

_WORKLESS = 10.0
"""After how many seconds the next fault comes however few have ended."""

_TELL_EVERY = 10.0
"""How many seconds there are between two words of how it goes."""

_OPERATIONS = "select verb, count(*) from chaos.operations group by verb"

_PATIENCE = 900.0
"""How many seconds it may take until nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much chaos.

    Attributes:
        seed: What decides.
        tasks: How many tasks there are at least.
        workers: How many worker processes.
        concurrency: How many handlers run at once in each.
        lease: Seconds.
        faults: How many faults of each kind there are at least.
        pause: How many seconds there are between two faults, on average.
    """

    seed: int
    tasks: int
    workers: int
    concurrency: int
    lease: int
    faults: Mapping[str, int]
    pause: float


@dataclass(slots=True)
class Report:
    """What happened."""

    plan: Plan
    folder: Path
    verdict: Verdict
    faults: Counter[str]
    handlers: dict[str, int]
    cuts: Counter[str]
    links_swallowed: int
    operations: Counter[str]
    seconds: float
    problems: list[str]

    def __str__(self) -> str:
        verdict = self.verdict
        figures: dict[str, object] = {
            "seed": self.plan.seed,
            "seconds": round(self.seconds),
            "tasks completed": verdict.tasks,
            "runs": _listed(verdict.ends),
            **dict(sorted(self.faults.items())),
            **self.handlers,
            "half-open connections": self.links_swallowed,
            "cut after commit": f"{self.cuts.total()} ({_listed(self.cuts)})",
            "operations": _listed(self.operations),
            "redelivered": verdict.redelivered,
            "effects": verdict.effects,
            "lost": verdict.lost,
            "doubled": verdict.doubled,
            "innocent runs failed": verdict.innocent_failed,
            "problems": len(self.problems),
        }
        lines = [f"{name:22} {value}" for name, value in figures.items()]
        if self.problems:
            lines += ["", *self.problems, "", f"logs: {self.folder}"]
        return "\n".join(lines)


def run(plan: Plan, say: Callable[[str], object] = print) -> Report:
    """Let it happen, and see what is left.

    Args:
        plan: How much.
        say: Is told now and then how it goes.
    """
    build_extension()
    folder = REPOSITORY / ".cache" / "chaos" / str(plan.seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    settings = (
        DURABLE | server_log.SETTINGS | (_SMALL_NOTIFY_QUEUE if "deafen" in plan.faults else {})
    )
    with throwaway_server(server_kind(), f"chaos{plan.seed}", settings=settings) as server:
        log = ServerLog(server, folder)
        try:
            return _Chaos(plan, server, folder, log, say).run()
        finally:
            log.keep()


class _Chaos:
    """One run of it."""

    def __init__(
        self,
        plan: Plan,
        server: EmbeddedServer,
        folder: Path,
        log: ServerLog,
        say: Callable[[str], object],
    ) -> None:
        self._plan = plan
        self._server = server
        self._folder = folder
        self._log = log
        self._say = say
        self._plain_dsn = server.create_database("chaos")
        self._dsn = make_conninfo(self._plain_dsn, application_name=HARNESS)
        self._kinds = [*flows.kinds(plan.seed), *flows.misbehaving()]
        self._runs: list[Started] = []
        self._tasks = 0
        self._ended = 0
        self._has_broken = threading.Event()
        self._problems: list[str] = []

    def run(self) -> Report:
        plan, began = self._plan, time.monotonic()
        self._prepare()
        chance = random.Random(f"{plan.seed} faults")
        with (
            Proxy(self._plain_dsn, linger=3) as proxy,
            Workers(
                make_conninfo(proxy.dsn, connect_timeout=2, user=ROLE),
                plan.workers,
                self._folder,
                concurrency=plan.concurrency,
                lease=plan.lease,
            ) as workers,
            self._operator() as operator,
        ):
            starter = threading.Thread(target=self._start_runs, args=(proxy.dsn,), daemon=True)
            starter.start()
            has_settled = threading.Event()
            answering = threading.Thread(
                target=self._answer, args=(proxy.dsn, has_settled), daemon=True
            )
            answering.start()
            with Faults(self._server, self._dsn, proxy, workers, chance, self._log) as faults:
                self._break(faults, chance)
            while starter.is_alive():
                workers.refill()
                starter.join(0.5)
            self._problems += _end(operator)
            self._problems += settle(self._ask, patience=_PATIENCE, meanwhile=workers.refill)
            has_settled.set()
            workers.end_all(60)
            self._problems += workers.problems
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                verdict = judge(connection, self._runs, self._folder)
                verbs = connection.execute(_OPERATIONS).fetchall()
                broken = spells.past(connection)
            self._log.keep()
            said = self._log.file.read_text("utf-8", errors="replace")
            self._problems += server_log.unexplained(said, broken)
            return Report(
                plan=plan,
                folder=self._folder,
                verdict=verdict,
                faults=faults.counts,
                handlers=_misbehaved(self._folder),
                cuts=proxy.cuts,
                links_swallowed=faults.links_swallowed,
                operations=Counter(dict(verbs)),
                seconds=time.monotonic() - began,
                problems=[*self._problems, *verdict.problems],
            )

    def _prepare(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            prepare(connection, self._kinds)

    @contextlib.contextmanager
    def _operator(self) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "chaos.operations", self._dsn, str(self._plan.seed)],
            cwd=REPOSITORY / "tests-py",
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it has begun, and knows how it is asked to end
            yield process
        finally:
            process.kill()
            process.communicate()

    def _start_runs(self, dsn: str) -> None:
        """Start runs until there were enough tasks and faults; the network breaks here, too."""
        chance = random.Random(f"{self._plan.seed} runs")
        connections = Connections(dsn)
        weights = [kind.weight for kind in self._kinds]
        first = chance.sample(self._kinds, len(self._kinds))
        while self._tasks < self._plan.tasks or not self._has_broken.is_set():
            # Each at least once, however short the chaos is.
            kind = first.pop() if first else chance.choices(self._kinds, weights)[0]
            run = Started(UUID(int=chance.getrandbits(128)), kind, kind.input(chance))
            start(connections, run)
            self._runs.append(run)
            self._tasks += sum(map(len, expect(kind, run.input).tasks.values()))
            if len(self._runs) % 20 == 0:
                while self._ask(messages) > _BACKLOG:
                    time.sleep(_LOOK)
        connections.close()

    def _answer(self, dsn: str, has_settled: threading.Event) -> None:
        """Send runs that wait what they wait for; the network breaks here, too."""
        connections = Connections(dsn)
        while not has_settled.wait(_LOOK):
            answer_all(connections)
        connections.close()

    def _break(self, faults: Faults, chance: random.Random) -> None:
        """Fault after fault, until there were enough of each and all tasks are started."""
        bag: list[str] = []
        rounds, told_at = 0, time.monotonic()
        while bag or not rounds or self._tasks < self._plan.tasks:
            if not bag:
                bag = list(Counter(self._plan.faults).elements())
                chance.shuffle(bag)
                rounds += 1
            time.sleep(chance.uniform(0, 2 * self._plan.pause))
            self._let_work()
            faults.happen(bag.pop())
            if time.monotonic() > told_at + _TELL_EVERY:
                told_at = time.monotonic()
                started = f"{len(self._runs):,} runs of {self._tasks:,} tasks are started"
                self._say(f"{started}; {_listed(faults.counts)}")
        faults.wait()
        self._has_broken.set()

    def _let_work(self) -> None:
        """Wait until some runs have ended since the last fault."""
        give_up = time.monotonic() + _WORKLESS
        while (ended := self._ask(ended_runs)) < self._ended + _RUNS_BETWEEN:
            if time.monotonic() > give_up:
                break
            time.sleep(_LOOK)
        self._ended = ended

    def _ask(self, question: Callable[[Engine], T]) -> T:
        def ask() -> T:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                return question(Engine(connection))

        return persist(ask)


def _end(operator: subprocess.Popen[str]) -> list[str]:
    """Ask the operator to end; answers what it found wrong."""
    operator.send_signal(signal.SIGTERM)
    said, _ = operator.communicate(timeout=120)
    problems = [json.loads(line) for line in said.splitlines()]
    if operator.returncode != 0:
        problems.append(f"the operator ended with {operator.returncode}")
    return problems


def _misbehaved(folder: Path) -> dict[str, int]:
    """How often handlers misbehaved, as they wrote down before they did."""
    return {
        f"handlers that {what}": sum(
            len(file.read_text().splitlines()) for file in folder.glob(f"{what}_*")
        )
        for what in ("killed", "hung", "blocked")
    }


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
