"""A worker that reports on a second connection while it claims.

Fails when that loses or repeats a result, when what fails there is not reported otherwise, when a
pool's connections are taken for it, and when a report that waits there keeps a lease from being
renewed or lets a worker take more and more.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from client.conftest import BackgroundWorker
from quantumflow_client import Client, Context, Flow
from quantumflow_client._worker import apart
from quantumflow_client._worker.second import Second
from support.waiting import wait_until

if TYPE_CHECKING:
    from quantumflow_client._connections import Session
    from quantumflow_client._sql.tasks import Completion, Failure

Connection = psycopg.Connection[Any]
Work = Callable[..., BackgroundWorker]

_ITEMS = 800


@pytest.fixture(autouse=True)
def consistent(connection: Connection) -> Iterator[None]:
    """Whatever a worker did, the database's rules hold afterwards."""
    yield
    assert connection.execute("select * from quantumflow.check_state()").fetchall() == []


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many results each call on a second connection had; a backlog is soon one."""
    calls: list[int] = []
    report = Second._report

    def spy(self: Second, session: Session, reports: Sequence[Completion | Failure]) -> None:
        calls.append(len(reports))
        report(self, session, reports)

    monkeypatch.setattr(Second, "_report", spy)
    monkeypatch.setattr(apart, "BACKLOG", 50)
    return calls


def wide(client: Client, handler: Callable[..., Any], items: int = _ITEMS) -> Any:
    """Start a map; the run's id."""
    flow = Flow("wide", retry_delay=0)
    flow.map("a")(handler)
    client.deploy(flow)
    return client.start_flow("wide", list(range(items)))


def reporter(connection: Connection) -> list[int]:
    """The backends that report outputs, and were asked nothing else last."""
    return [
        pid
        for (pid,) in connection.execute(
            "select pid from pg_stat_activity where datname = current_database()"
            " and query like '%quantumflow.complete\\_tasks(%' and pid <> pg_backend_pid()"
        )
    ]


def test_a_backlog_is_reported_once_each_while_it_is_claimed(
    client: Client, reported: list[int]
) -> None:
    calls: Counter[int] = Counter()

    def handler(item: int) -> int:
        calls[item] += 1
        return -item

    run_id = wide(client, handler)
    assert client.poll_and_run(until_idle=True) == _ITEMS
    assert client.wait(run_id)["a"] == [-n for n in range(_ITEMS)]
    assert calls == Counter(range(_ITEMS))
    assert sum(reported) > _ITEMS / 4


def test_async_handlers_failures_and_what_postgresql_cannot_hold_go_that_way_too(
    client: Client, reported: list[int], connection: Connection
) -> None:
    async def handler(item: int, ctx: Context) -> str:
        if item % 100 == 7 and ctx.attempt == 1:
            raise ValueError(f"not {item}")
        return "\0" if item == 700 and ctx.attempt == 1 else str(item)

    run_id = wide(client, handler)
    while client.status(run_id, summary=True)["status"] == "started":
        client.poll_and_run(until_idle=True)
    assert client.status(run_id)["status"] == "completed", "a refusal costs an attempt"
    told = connection.execute(
        "select error_message from quantumflow.task_failures where run_id = %s", (run_id,)
    ).fetchall()
    assert any("PostgreSQL cannot hold" in message for (message,) in told)
    assert reported


def test_a_second_connection_that_is_lost_costs_nothing(
    client: Client, work: Work, reported: list[int], connection: Connection
) -> None:
    calls: Counter[int] = Counter()
    killed: list[int] = []

    def handler(item: int) -> int:
        calls[item] += 1
        if len(reported) > 2 and not killed:
            killed.append(item)
            with psycopg.connect(connection.info.dsn, autocommit=True) as other:
                for pid in reporter(other):
                    other.execute("select pg_terminate_backend(%s)", (pid,))
        return item

    run_id = wide(client, handler, 2 * _ITEMS)
    work()
    assert client.wait(run_id, timeout=60)["a"] == list(range(2 * _ITEMS))
    assert killed
    assert set(calls.values()) == {1}


def test_a_report_that_waits_there_loses_no_lease_and_the_worker_takes_no_more(
    client: Client, work: Work, reported: list[int], connection: Connection
) -> None:
    block = threading.Event()
    calls: Counter[int] = Counter()
    held: list[int] = []

    with psycopg.connect(connection.info.dsn) as other:

        def handler(item: int, ctx: Context) -> int:
            calls[item] += 1
            if len(reported) > 2 and not block.is_set():
                block.set()
                other.execute(
                    "select from quantumflow.step_tasks where run_id = %s and task_index = %s"
                    " for update",
                    (ctx.run_id, ctx.task_index),
                )
            return item

        run_id = wide(client, handler, 2 * _ITEMS)
        lease = timedelta(seconds=1)
        work(lease=lease, concurrency=4, prefetch=100)
        assert block.wait(30)
        wait_until(
            lambda: (
                connection.execute(
                    "select exists (select from pg_stat_activity where wait_event_type = 'Lock'"
                    " and query like '%%quantumflow.complete%%' and datname = current_database())"
                ).fetchone()
                == (True,)
            )
        )
        # Twice as long as leases are.
        with pytest.raises(TimeoutError):
            client.wait(run_id, timeout=2)
        held += [
            n
            for (n,) in connection.execute(
                "select count(*) from quantumflow.step_tasks where status = 'started'"
            )
        ]
        other.rollback()
    assert client.wait(run_id, timeout=60)["a"] == list(range(2 * _ITEMS))
    assert set(calls.values()) == {1}
    # What may wait, and what is under way.
    assert held[0] <= 2 * (4 + 100)


def test_of_a_pool_none_is_taken_for_it(dsn: str, reported: list[int]) -> None:
    with ConnectionPool(dsn, min_size=2, max_size=3, open=True) as pool, Client(pool) as client:
        run_id = wide(client, lambda item: item)
        assert client.poll_and_run(until_idle=True) == _ITEMS
        assert len(client.wait(run_id)["a"]) == _ITEMS
    assert not reported


def test_a_chain_of_an_idle_worker_is_handed_over_as_ever(
    client: Client, work: Work, reported: list[int]
) -> None:
    flow = Flow("chain")
    for n in range(5):
        flow.step(f"s{n}", depends_on=[f"s{n - 1}"] if n else [])(lambda: True)
    client.deploy(flow)
    work()
    for _ in range(12):
        client.wait(client.start_flow("chain"), timeout=30)
    assert not reported
