"""Pauses, acts on many and limits, of 100,000 at once, beside workers; what it took is recorded."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from support.engine import Engine, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.long, pytest.mark.system, pytest.mark.timeout(1200)]

MANY = 100_000
PORTION = 10_000


@pytest.fixture(scope="module")
def sessions(module_dsn: str) -> Iterator[Callable[[], Engine]]:
    """Opens sessions that notice a deadlock at once, and may take long."""
    opened: list[psycopg.Connection[Any]] = []

    def make() -> Engine:
        connection = psycopg.connect(
            module_dsn, autocommit=True, options="-c deadlock_timeout=100ms"
        )
        opened.append(connection)
        return Engine(connection)

    yield make
    for connection in opened:
        connection.close()


@pytest.fixture
def engine(sessions: Callable[[], Engine]) -> Iterator[Engine]:
    engine = sessions()
    engine.define("plain", [{"name": "a"}], retry_delay=0)
    engine.define(
        "keyed", [{"name": "k", "type": "map", "limit": {"name": "api", "key": "$.item"}}]
    )
    engine.define("free", [{"name": "f"}])
    yield engine
    remove_runs(engine.connection)
    for table in ("pauses", "_parked", "limits", "_limit_slots", "_limit_waits"):
        engine.connection.execute(f"delete from quantumflow.{table}")


def start_many(engine: Engine, slug: str = "plain") -> None:
    for _ in range(MANY // PORTION):
        engine.rows(
            "select count(*) from quantumflow.start_flows(%s, array_fill('1'::jsonb, array[%s]))",
            slug,
            PORTION,
        )
    engine.connection.execute("analyze")


class Crowd:
    """Workers, and somebody who cancels and retries beside them; who of them waited for a lock."""

    def __init__(
        self, sessions: Callable[[], Engine], workers: int = 4, *, quantity: int = 20, by: int = 0
    ) -> None:
        self._quantity = quantity
        self._by = by
        self.done = 0
        self.last_claimed_at = 0.0
        self.slowest = 0.0
        self.slowest_report = 0.0
        self.errors: list[BaseException] = []
        self.waits: Counter[bool] = Counter()
        self._over = threading.Event()
        self._sessions = [sessions() for _ in range(workers + 2)]
        self._pids = [engine.pid for engine in self._sessions[:workers]]
        calls = [self._work] * workers + [self._meddle, self._watch]
        self._threads = [
            threading.Thread(target=self._run, args=(call, engine))
            for call, engine in zip(calls, self._sessions, strict=True)
        ]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert self.errors == []

    def _run(self, call: Callable[[Engine], None], engine: Engine) -> None:
        try:
            while not self._over.is_set():
                call(engine)
        except BaseException as error:
            self.errors.append(error)

    def _work(self, engine: Engine) -> None:
        began = time.monotonic()
        tasks = engine.claim(self._quantity)
        self.slowest = max(self.slowest, time.monotonic() - began)
        if tasks:
            self.last_claimed_at = began
            reported = time.monotonic()
            outcomes = engine.complete_all([(task, 1) for task in tasks])
            self.slowest_report = max(self.slowest_report, time.monotonic() - reported)
            self.done += outcomes.count("completed")
        else:
            self._over.wait(0.05)

    def _meddle(self, engine: Engine) -> None:
        query = (
            "select id from quantumflow.workflow_runs where workflow_slug = 'plain' "
            "and status = 'started' order by random() limit 1"
        )
        if run_id := engine.value(query.replace("order by random() ", "")):
            try:
                engine.rows("select id from quantumflow.cancel_run(%s)", run_id)
                engine.rows("select id from quantumflow.retry_run(%s)", run_id)
            except psycopg.Error as error:
                if not (error.sqlstate or "").startswith("QF"):
                    raise
        self._over.wait(0.05)

    def _watch(self, engine: Engine) -> None:
        waits = engine.value(
            "select count(*) from unnest(%s) w (pid) where %s = any (pg_blocking_pids(w.pid))",
            self._pids,
            self._by,
        )
        self.waits[bool(waits)] += 1
        self._over.wait(0.02)


@contextmanager
def timed(record: Callable[[str, object], None], what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    record(what, round(time.monotonic() - began, 2))


def both_at_once(sessions: Callable[[], Engine], query: str) -> list[Any]:
    """The answers of two sessions that ask the same at the same time."""
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda each: answers.append(each.value(query)), args=(sessions(),))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2
    return answers


@pytest.mark.parametrize("what", ["queue('quantum_flow_queue')", "flow('plain')", "command('a')"])
def test_a_queue_of_many_is_paused_and_resumed_twice_at_once(
    what: str,
    engine: Engine,
    sessions: Callable[[], Engine],
    record_property: Callable[[str, object], None],
) -> None:
    start_many(engine)
    with Crowd(sessions) as crowd:
        time.sleep(2)
        with timed(record_property, "pause, seconds"):
            first, second = both_at_once(sessions, f"select quantumflow.pause_{what}")
        assert first == second
        paused_at = time.monotonic()
        time.sleep(5)
        assert crowd.last_claimed_at <= paused_at
        at_pause = crowd.done
        record_property("parked", engine.value("select count(*) from quantumflow._parked"))
        assert engine.problems() == []
        back = [1]
        with timed(record_property, "resume, seconds"):
            while any(back):
                back = both_at_once(sessions, f"select quantumflow.resume_{what}")
                if not what.startswith("flow"):
                    break
        time.sleep(2)
        assert crowd.done > at_pause
        record_property("slowest claim beside it, seconds", round(crowd.slowest, 3))
    engine.rows("select quantumflow.sweep()")
    assert engine.rows("select * from quantumflow._parked") == []
    assert engine.problems() == []


def test_acts_on_many_in_portions_beside_workers(
    engine: Engine, sessions: Callable[[], Engine], record_property: Callable[[str, object], None]
) -> None:
    start_many(engine)
    seen: Counter[Any] = Counter()
    with Crowd(sessions, quantity=2, by=engine.pid) as crowd:
        for act in ("pause", "resume", "cancel"):
            before = crowd.done
            with timed(record_property, f"{act}, seconds"):
                while found := engine.rows(
                    f"select run_id from quantumflow.{act}_runs("
                    "'{\"workflow_slug\": \"plain\"}', 10000, false, 'the bank is closed')"
                ):
                    seen.update((act, row[0]) for row in found)
                    if act == "resume" and len(found) < PORTION:
                        break
            record_property(f"{act}: tasks done beside it", crowd.done - before)
        record_property("slowest claim, seconds", round(crowd.slowest, 3))
        record_property("slowest report, seconds", round(crowd.slowest_report, 3))
        record_property(
            "samples in which a worker waited for the acts",
            f"{crowd.waits[True]} of {crowd.waits.total()}",
        )
    for act in ("pause", "resume"):
        assert {count for (each, _), count in seen.items() if each == act} == {1}
        record_property(f"{act}: runs", sum(1 for each, _ in seen if each == act))
    record_property("cancel: runs", sum(1 for each, _ in seen if each == "cancel"))
    written = engine.rows(
        "select what, count(*) from quantumflow.audit_log where reason = 'the bank is closed' "
        "and actor = session_user group by 1 order by 1"
    )
    assert sum(count for _, count in written) == seen.total()
    assert engine.problems() == []


def test_a_limited_map_of_many_goes_through(
    engine: Engine, sessions: Callable[[], Engine], record_property: Callable[[str, object], None]
) -> None:
    engine.value("select limit_name from quantumflow.set_limit('api', 50)")
    with timed(record_property, "start, seconds"):
        run_id = engine.value(
            "select quantumflow.start_flow('keyed', (select jsonb_agg(n %% 10) "
            "from generate_series(1, %s) n))",
            MANY,
        )
    with timed(record_property, "done, seconds"), Crowd(sessions):
        while engine.run_status(run_id) == "started":
            engine.rows("select quantumflow.sweep()")
            time.sleep(1)
    assert engine.run_status(run_id) == "completed"
    assert engine.problems() == []


def test_keys_take_turns_beside_a_backlog(
    engine: Engine, sessions: Callable[[], Engine], record_property: Callable[[str, object], None]
) -> None:
    engine.value("select limit_name from quantumflow.set_limit('api', 2)")
    engine.rows(
        "select quantumflow.start_flow('keyed', (select jsonb_agg(0) from generate_series(1, %s)))",
        MANY,
    )
    engine.rows(
        "select quantumflow.start_flow('keyed', (select jsonb_agg(n %% 1000) "
        "from generate_series(1, 10000) n))"
    )
    engine.connection.execute("vacuum analyze")
    served: Counter[str] = Counter()
    claims = 0
    with timed(record_property, "until each of 1,000 keys was served, seconds"):
        while len(served) < 1000:
            claims += 1
            tasks = engine.claim(100)
            served.update(str(task.input["item"]) for task in tasks)
            engine.complete_all([(task, 1) for task in tasks])
            assert claims < 200
    record_property("claims of 100 until then", claims)
    record_property("tasks of the key with the backlog among them", served["0"])
    assert served["0"] <= 2 * claims
    engine.start("free")
    pages = engine.value(
        "explain (analyze, buffers, format json) select * from quantumflow.claim_tasks("
        "gen_random_uuid(), 1, commands => '{f}')"
    )[0]["Plan"]
    record_property(
        "pages that a claim of something else reads",
        pages["Shared Hit Blocks"] + pages["Shared Read Blocks"],
    )
    assert engine.problems() == []
