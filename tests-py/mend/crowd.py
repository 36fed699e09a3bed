"""Sessions in threads, each with its own connection, that go on until they are told to stop."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg

from support.engine import Engine
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

# A deadlock is noticed at once, and is an error of whoever is its victim.
_OPTIONS = "-c deadlock_timeout=100ms -c statement_timeout=30s -c client_min_messages=error"


class Crowd:
    """Sessions that do something over and over, beside each other."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=16)
        self._futures: list[Future[None]] = []

    def add(self, act: Callable[[Engine, random.Random], object], count: int = 1) -> None:
        """Let so many sessions do it again and again; after a false answer a little later."""
        for _ in range(count):
            chance = random.Random(len(self._futures))
            self._futures.append(self._pool.submit(self._go_on, act, chance))

    def watch(self, until: Callable[[], bool], *, timeout: float = 90) -> None:
        """Wait for a state; whatever goes wrong in a session is raised here."""

        def is_there() -> bool:
            self._raise_errors()
            return until()

        wait_until(is_there, timeout=timeout)

    def stop(self) -> None:
        """Let all of them finish what they do."""
        self._stop.set()
        self._pool.shutdown()
        self._raise_errors()

    def _go_on(self, act: Callable[[Engine, random.Random], object], chance: random.Random) -> None:
        with psycopg.connect(self._dsn, autocommit=True, options=_OPTIONS) as connection:
            engine = Engine(connection)
            while not self._stop.is_set():
                if not act(engine, chance):
                    self._stop.wait(0.01)

    def _raise_errors(self) -> None:
        for future in self._futures:
            if future.done():
                future.result()


def start(engine: Engine, chance: random.Random) -> Any:
    """Start runs, as long as there are few."""
    live = "select count(*) from quantumflow.workflow_runs where status = 'started'"
    if engine.value(live) > 20:
        return False
    engine.start_many("load", [{}] * 10)
    return True


def work(engine: Engine, chance: random.Random) -> Any:
    """Claim some tasks and report them, this way or that, as long as it gets others for them."""
    tasks = engine.claim(chance.randrange(1, 12), lease=5)
    if not tasks:
        return False
    while tasks:
        engine.extend(tasks[:3], 5)
        engine.release([task for task in tasks if chance.random() < 0.05])
        engine.fail_all([task for task in tasks if chance.random() < 0.1])
        results = [(task, output_of(task.step_slug, task.task_index)) for task in tasks]
        tasks = []
        if chance.random() < 0.5:
            _, tasks = engine.exchange(results, chance.randrange(1, 12), lease=5)
        else:
            engine.complete_all(results)
    return True


def output_of(step_slug: str, task_index: int) -> Any:
    """What a task is completed with, whoever does it."""
    return [1, 2, 3, 4] if step_slug == "a" else f"{step_slug} {task_index}"


STEPS: list[dict[str, Any]] = [
    {"name": "a"},
    {"name": "m", "type": "map", "dependencies": ["a"]},
    {"name": "n", "type": "map", "dependencies": ["m"]},
    {"name": "b", "dependencies": ["a"]},
    {"name": "z", "dependencies": ["n", "b"]},
]
SETTINGS = {"max_attempts": 1000, "max_lost": 1000, "retry_delay": 0, "on_complete": "told"}
OUTPUT = {"z": "z 0"}
