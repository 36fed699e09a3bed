"""What is limited stays so, whoever stalls, fails or is killed; and no slot is lost."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
import pytest

from races.conftest import OPTIONS
from support.engine import Engine, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.system

_AT_ONCE = 5
_LEASE = 0.4


@pytest.fixture(scope="module")
def engine(new_engine: Callable[[], Engine]) -> Iterator[Engine]:
    engine = new_engine()
    engine.define(
        "keyed",
        [{"name": "a", "type": "map", "limit": {"name": "api", "key": "$.item.of"}}],
        max_attempts=1000000,
        max_lost=1000000,
        retry_delay=0,
    )
    yield engine
    engine.value(
        "select count(*) from (select quantumflow.remove_limit(limit_name) from "
        "quantumflow.limits) l"
    )


@dataclass
class _Crowd:
    """Workers that do what they should, stall, fail and die, by chance."""

    dsn: str
    seed: int
    trouble: float
    done: threading.Event = field(default_factory=threading.Event)
    killed: int = 0
    stalled: int = 0

    def work(self, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)
        while not self.done.is_set():
            with (
                suppress(psycopg.OperationalError),
                psycopg.connect(self.dsn, autocommit=True, options=OPTIONS) as connection,
            ):
                self._serve(Engine(connection), chance)

    def _serve(self, engine: Engine, chance: random.Random) -> None:
        tasks: list[Task] = []
        while not self.done.is_set():
            tasks = tasks or engine.claim(chance.choice([1, 1, 3]), lease=_LEASE)
            self.done.wait(chance.random() * 0.03)
            tasks = self._end(engine, tasks, chance) if tasks else []

    def _end(self, engine: Engine, tasks: list[Task], chance: random.Random) -> list[Task]:
        """Ends attempts, in one way or another; the next tasks, where it is given some."""
        what = chance.random()
        if what < self.trouble:
            # Killed with them: nobody says that they have ended.
            self.killed += 1
            engine.rows("select pg_terminate_backend(pg_backend_pid())")
        elif what < 2 * self.trouble:
            # Stalled, and back when others have them.
            self.stalled += 1
            self.done.wait(2 * _LEASE)
            engine.complete_all([(task, 1) for task in tasks])
        elif what < 4 * self.trouble:
            engine.fail_all(tasks, retry_after=0.05)
        elif what < 6 * self.trouble:
            engine.release(tasks)
        else:
            return engine.exchange([(task, 1) for task in tasks], quantity=1, lease=_LEASE)[1]
        return []


def _run(
    engine: Engine, dsn: str, *, workers: int, items: int, seconds: float, trouble: float
) -> Counter[int]:
    """How often so many of one key were with workers, while others waited."""
    engine.value("select limit_name from quantumflow.set_limit('api', %s)", _AT_ONCE)
    run_id = engine.start("keyed", [{"of": "x" if n % 4 else "y"} for n in range(items)])
    crowd = _Crowd(dsn, workers, trouble)
    threads = [threading.Thread(target=crowd.work, args=(n,)) for n in range(workers)]
    for thread in threads:
        thread.start()
    seen: Counter[int] = Counter()
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until or min(crowd.killed, crowd.stalled) < 2:
            # Those too whose lease has run out: a slot is theirs until somebody notices.
            for running, waiting in engine.rows(
                "select count(*) filter (where status = 'started'), "
                "count(*) filter (where status = 'queued') from quantumflow.step_tasks "
                "where run_id = %s group by limit_key",
                run_id,
            ):
                assert running <= _AT_ONCE
                if waiting >= _AT_ONCE:
                    seen[running] += 1
            if engine.value("select random() < 0.02"):
                engine.sweep()
    finally:
        crowd.done.set()
        for thread in threads:
            thread.join(30)
    # What is left need not be done: no slot was lost if as many as there are can be taken again.
    assert engine.cancel(run_id) == "cancelled"
    engine.sweep()
    engine.start("keyed", [{"of": "x" if n % 2 else "y"} for n in range(40)])
    tasks = engine.claim(100)
    assert len(tasks) == 2 * _AT_ONCE
    engine.complete_all([(task, 1) for task in tasks])
    return seen


def _drain(engine: Engine) -> None:
    """The rest goes, so no slot was lost; and nothing is left behind."""
    until = time.monotonic() + 60
    while engine.value("select count(*) from quantumflow.workflow_runs where status = 'started'"):
        assert time.monotonic() < until
        engine.complete_all([(task, 1) for task in engine.claim(100)])
        engine.sweep()
    assert engine.problems() == []
    # A claim passes over a row of the waiting room that somebody holds; what was let go and is gone
    # a sweep takes away, a few seconds later.
    while engine.rows("select from quantumflow._limit_waits"):
        assert time.monotonic() < until
        engine.sweep()


def test_there_are_never_more_leases_of_a_key_than_slots(engine: Engine, module_dsn: str) -> None:
    _run(engine, module_dsn, workers=12, items=4000, seconds=2, trouble=0.05)
    engine.value("select limit_name from quantumflow.set_limit('api', 100)")
    _drain(engine)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_fifty_workers_for_two_minutes(
    engine: Engine, module_dsn: str, record_property: Callable[[str, object], None]
) -> None:
    seen = _run(engine, module_dsn, workers=50, items=40_000, seconds=120, trouble=0.02)
    record_property("live leases of a key of 5, by share of samples", dict(sorted(seen.items())))
    engine.value("select limit_name from quantumflow.set_limit('api', 1000)")
    _drain(engine)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("seconds", "share"), [(2, 0.2), pytest.param(60, 0.05, marks=pytest.mark.long)]
)
def test_so_many_begin_in_a_second(
    engine: Engine, new_engine: Callable[[], Engine], seconds: int, share: float
) -> None:
    """Of each of two keys, by workers that look ten times a second."""
    engine.define(
        "rated", [{"name": "r", "type": "map", "limit": {"name": "mail", "key": "$.item"}}]
    )
    engine.value("select limit_name from quantumflow.set_limit('mail', per_second => 20)")
    run_id = engine.start("rated", [n % 2 for n in range(2 * 20 * (seconds + 10))])
    done = threading.Event()

    def work(worker: Engine) -> None:
        while not done.wait(0.1):
            worker.complete_all([(task, 1) for task in worker.claim(50, commands=["r"])])

    threads = [threading.Thread(target=work, args=(new_engine(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    done.wait(seconds + 1)
    done.set()
    for thread in threads:
        thread.join(30)
    begun = engine.rows(
        "select limit_key, count(*) from quantumflow.step_tasks, "
        "lateral (select min(started_at) as first from quantumflow.step_tasks where run_id = %s) f "
        "where run_id = %s and started_at < first + make_interval(secs => %s) group by 1",
        run_id,
        run_id,
        seconds,
    )
    assert len(begun) == 2
    for _key, count in begun:
        assert count == pytest.approx(20 * seconds, rel=share)
    assert engine.cancel(run_id) == "cancelled"


_MODES = ("queue", "refuse", "cancel")


@pytest.mark.parametrize("mode", _MODES)
def test_runs_of_a_key_go_on_one_at_a_time_whoever_starts_and_ends_them(
    engine: Engine, new_engine: Callable[[], Engine], mode: str
) -> None:
    engine.define(mode, [{"name": "a"}], one_at_a_time={"key": "$.run", "when_busy": mode})
    starters = [new_engine() for _ in range(4)]
    done = threading.Event()

    def start(starter: Engine) -> None:
        for _ in range(5):
            with suppress(psycopg.Error if mode == "refuse" else ZeroDivisionError):
                starter.start(mode, "x")

    def work(worker: Engine) -> None:
        while not done.is_set():
            if tasks := worker.claim(1, commands=["a"]):
                worker.complete(tasks[0], 1)
            else:
                worker.rows("select * from quantumflow.settle()")

    threads = [threading.Thread(target=start, args=(starter,)) for starter in starters]
    worker = threading.Thread(target=work, args=(new_engine(),))
    for thread in [*threads, worker]:
        thread.start()
    query = (
        "select count(*) from quantumflow.workflow_runs where workflow_slug = %s and status = %s"
    )
    try:
        while any(thread.is_alive() for thread in threads):
            assert engine.value(query, mode, "started") <= 1
        until = time.monotonic() + 30
        while engine.value(query, mode, "started") + engine.value(query, mode, "paused"):
            assert time.monotonic() < until
    finally:
        done.set()
        for thread in [*threads, worker]:
            thread.join(30)
    ended = engine.rows(
        "select status, count(*) from quantumflow.workflow_runs where workflow_slug = %s "
        "group by status",
        mode,
    )
    expected = {
        "queue": {"completed"},
        "refuse": {"completed"},
        "cancel": {"completed", "cancelled"},
    }
    assert {status for status, _ in ended} <= expected[mode]
    assert mode == "refuse" or sum(count for _, count in ended) == 20
    assert engine.rows("select * from quantumflow._run_turns") == []
