"""A worker that has more than it runs: what waits for a slot, and the call that brings it.

Fails when tasks that wait for a slot are not taken back, at the end or in time; when handlers stand
still while a call is on the wire; when results, or tasks that were handed over, are lost with an
answer; and when anything of a task is kept after it.
"""

from __future__ import annotations

import gc
import logging
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from client.conftest import BackgroundWorker
from quantumflow_client import Client, Flow
from quantumflow_client._worker import pace
from quantumflow_client.errors import UnknownQueue
from support.proxy import Proxy
from support.waiting import wait_until

Connection = psycopg.Connection[Any]
Work = Callable[..., BackgroundWorker]

_DAY = 86400
_LONG = timedelta(hours=1)

_FIRST = 100
"""So many tasks are quick; then they wait for the test."""


@pytest.fixture(autouse=True)
def consistent(connection: Connection) -> Iterator[None]:
    """Whatever a worker did, the database's rules hold afterwards."""
    yield
    assert connection.execute("select * from quantumflow.check_state()").fetchall() == []


class Stops:
    """A map whose first items are handled at once, and the others when the test allows it."""

    def __init__(self, client: Client, items: int) -> None:
        self.begun: list[int] = []
        self.allowed = threading.Semaphore(0)
        flow = Flow("wide", timeout=_DAY)
        flow.map("a")(self._handle)
        client.deploy(flow)
        self.run_id = client.start_flow("wide", list(range(items)))

    def _handle(self, item: int) -> int:
        self.begun.append(item)
        if len(self.begun) > _FIRST:
            self.allowed.acquire()
        return item

    def wait_until_it_stops(self) -> None:
        wait_until(lambda: len(self.begun) == _FIRST + 1)

    def allow(self, tasks: int) -> None:
        self.allowed.release(tasks)


def count(connection: Connection, status: str) -> int:
    """How many tasks are in a status."""
    row = connection.execute(
        "select count(*) from quantumflow.step_tasks where status = %s", (status,)
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken back because it waits."""
    monkeypatch.setattr("quantumflow_client._worker.claims._HOLD", _DAY)


@pytest.mark.usefixtures("hold")
def test_what_waits_for_a_slot_is_handed_back_when_the_worker_stops(
    client: Client, connection: Connection, work: Work
) -> None:
    stops = Stops(client, 1000)
    worker = work(concurrency=1, lease=_LONG)
    stops.wait_until_it_stops()
    wait_until(lambda: count(connection, "started") > 10)
    client.stop()
    wait_until(lambda: count(connection, "started") == 1)
    stops.allow(1)
    assert worker.join() == _FIRST + 1
    assert count(connection, "completed") == _FIRST + 1
    spent = connection.execute(
        "select sum(attempts) from quantumflow.step_tasks where status = 'queued'"
    ).fetchone()
    assert spent == (0,)


def test_what_waits_too_long_for_a_slot_is_handed_back(
    client: Client, connection: Connection, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quantumflow_client._worker.claims._HOLD", 0.2)
    stops = Stops(client, 400)
    work(concurrency=1, lease=_LONG)
    stops.wait_until_it_stops()
    wait_until(lambda: count(connection, "started") == 1)
    stops.allow(400)
    assert client.wait(stops.run_id, timeout=30) == {"a": list(range(400))}
    spent = connection.execute("select sum(attempts), sum(losses) from quantumflow.step_tasks")
    assert spent.fetchone() == (400, 0)


@pytest.mark.usefixtures("hold")
def test_tasks_are_begun_in_the_order_of_the_claim(client: Client, work: Work) -> None:
    stops = Stops(client, 1000)
    stops.allow(1000)
    work(concurrency=1, lease=_LONG)
    client.wait(stops.run_id, timeout=30)
    assert stops.begun == list(range(1000))


@pytest.mark.usefixtures("hold")
def test_handlers_go_on_while_a_report_waits(
    client: Client, connect: Callable[..., Connection], work: Work
) -> None:
    looking, holding = connect(), connect(autocommit=False)
    stops = Stops(client, 1000)
    work(concurrency=1, lease=_LONG)
    stops.wait_until_it_stops()
    wait_until(lambda: count(looking, "started") > 10)
    holding.execute("select from quantumflow.step_states for update")
    reporting = (
        "select from pg_stat_activity where query like '%quantumflow.complete_%'"
        " and wait_event_type = 'Lock' and datname = current_database()"
    )
    stops.allow(1)
    wait_until(lambda: looking.execute(reporting).rowcount)
    stops.allow(9)
    wait_until(lambda: len(stops.begun) == _FIRST + 11)
    assert looking.execute(reporting).rowcount
    holding.rollback()
    stops.allow(1000)
    client.wait(stops.run_id, timeout=30)


def test_each_step_of_a_chain_takes_one_call(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantumflow_client._connections import Session

    call, made = Session.ask, Counter[str]()

    def counted(self: Session, asked: Any) -> Any:
        made.update(re.findall(r"quantumflow\.(\w+)", asked.statement))
        return call(self, asked)

    monkeypatch.setattr(Session, "ask", counted)
    flow = Flow("chain")
    flow.step("s0")(lambda: 0)
    for n in range(1, 10):
        flow.step(f"s{n}", depends_on=[f"s{n - 1}"])(lambda: 0)
    client.deploy(flow)
    run_id = client.start_flow("chain")
    # With a slot to spare it looks for more while a handler runs, if that takes long.
    assert client.poll_and_run(until_idle=True, concurrency=1, prefetch=0) == 10
    client.wait(run_id, timeout=0)
    # Sweeps, and looks at what waits, come when their time has come.
    del made["sweep"], made["settle"]
    assert made == {
        "register_worker": 1,
        "claim_tasks": 1,
        "complete_and_claim": 10,
        # It ends when it is idle: is there nothing that others have left?
        "left_work": 1,
        "stop_worker": 1,
    }


@pytest.mark.parametrize(
    "refusal", [UnknownQueue("queue"), psycopg.errors.UndefinedFunction("before 0.3.0")]
)
def test_where_one_call_is_refused_two_are_made(
    client: Client, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    from quantumflow_client import _sql
    from quantumflow_client._connections import Session

    call = Session.ask

    def refuse(self: Session, asked: Any) -> Any:
        if asked.statement == _sql.STATEMENTS["complete_and_claim"]:
            raise refusal
        return call(self, asked)

    monkeypatch.setattr(Session, "ask", refuse)
    flow = Flow("wide")
    flow.map("a")(lambda item: item)
    client.deploy(flow)
    run_id = client.start_flow("wide", list(range(30)))
    assert client.poll_and_run(until_idle=True) == 30
    assert client.wait(run_id, timeout=0) == {"a": list(range(30))}


def test_an_answer_that_is_lost_loses_neither_results_nor_tasks(
    client: Client,
    connection: Connection,
    dsn: str,
    connect: Callable[..., Connection],
    caplog: pytest.LogCaptureFixture,
) -> None:
    client.deploy({"slug": "two", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]})
    caplog.set_level(logging.INFO)
    ran: list[str] = []
    with Proxy(dsn) as proxy, Client(proxy.dsn) as far_client:
        far_client.command("a")(lambda: ran.append("a"))
        far_client.command("b")(lambda: ran.append("b"))
        proxy.cut_after_commit("complete_and_claim")
        run_id = client.start_flow("two")
        worker = BackgroundWorker(far_client, lease=timedelta(seconds=1))
        assert client.wait(run_id, timeout=30) == {"b": None}
        worker.stop()
        assert proxy.cuts == Counter(["complete_and_claim"])
    # b was handed over with the answer that was lost, and came back when its lease was over.
    assert ran == ["a", "b"]
    assert "came to nothing: duplicate" in caplog.text
    counted = connection.execute(
        "select step_slug, attempts, losses from quantumflow.step_tasks order by step_slug"
    ).fetchall()
    assert counted == [("a", 1, 0), ("b", 2, 1)]


def test_large_inputs_are_claimed_few_at_a_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantumflow_client._worker.claims import Claims

    begin, sizes = Claims.begin, []

    def weigh(self: Claims, tasks: Any, **options: Any) -> Any:
        sizes.append(sum(task.size for task in tasks))
        return begin(self, tasks, **options)

    monkeypatch.setattr(Claims, "begin", weigh)
    monkeypatch.setattr(pace, "CLAIM_BYTES", 1_000_000)
    flow = Flow("large")
    flow.step("a")(lambda: None)
    client.deploy(flow)
    client.start_flows("large", ["x" * 100_000] * 60)
    assert client.poll_and_run(until_idle=True, concurrency=20) == 60
    # Nothing was known of the first one.
    assert sum(sizes[1:]) >= 40 * 100_000
    assert max(sizes[1:]) < 1_200_000


def test_nothing_of_a_task_is_kept_after_it(client: Client, work: Work) -> None:
    flow = Flow("wide")
    flow.map("a")(lambda item: item)
    client.deploy(flow)
    work(concurrency=10, listen=False)
    (worker,) = wait_until(lambda: list(client._workers))

    def blocks_after(items: int) -> int:
        client.wait(client.start_flow("wide", [0] * items), timeout=60)
        wait_until(lambda: not worker._held and not worker._core._held)
        gc.collect()
        return sys.getallocatedblocks()

    before = blocks_after(3_000)
    assert blocks_after(20_000) - before < 8_000
