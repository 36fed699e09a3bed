"""A worker behind a proxy that goes on answering keepalives while nothing comes through.

Fails, by waiting for ever, when the calls that it is about have no patience: in the
worker's Session, in WorkerHost.fetch, in Renewal, in a client's wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from client.conftest import BackgroundWorker
from quantumflow_client import AsyncClient, Client, Context, WaitTimeout, _waiting
from support.proxy import BOTH, Direction, Proxy
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

_LEASE = timedelta(seconds=3)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantumflow_client._worker.loop._PATIENCE", 0.5)


@pytest.fixture
def proxy(dsn: str, connect: Callable[..., Any]) -> Iterator[Proxy]:
    with Proxy(dsn) as proxy:
        yield proxy


@pytest.fixture
def far_client(proxy: Proxy) -> Iterator[Client]:
    """A client on the other side of the proxy."""
    with Client(proxy.dsn) as client:
        yield client


@pytest.mark.parametrize("directions", [BOTH, ("to server",), ("to client",)])
def test_a_worker_whose_calls_are_not_answered_connects_again(
    client: Client, far_client: Client, proxy: Proxy, directions: tuple[Direction, ...]
) -> None:
    far_client.command("a")(lambda: "done")
    client.deploy({"slug": "one", "steps": [{"name": "a"}]})
    worker = BackgroundWorker(far_client, lease=timedelta(seconds=1))
    client.wait(client.start_flow("one"), timeout=30)

    assert proxy.swallow(directions) >= 1
    assert client.wait(client.start_flow("one"), timeout=60) == {"a": "done"}
    worker.stop()


def test_a_task_is_kept_while_renewals_are_not_answered(
    client: Client, far_client: Client, proxy: Proxy, connection: psycopg.Connection[Any]
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def handler() -> str:
        begun.set()
        may_end.wait(90)
        return "kept"

    def expiry() -> Any:
        row = connection.execute("select vt from pgmq.q_quantum_flow_queue").fetchone()
        assert row is not None
        return row[0]

    far_client.command("a")(handler)
    client.deploy({"slug": "one", "max_lost": 1, "steps": [{"name": "a"}]})
    worker = BackgroundWorker(far_client, lease=_LEASE, concurrency=1)
    run_id = client.start_flow("one")
    assert begun.wait(30)
    for silent in (False, True):
        if silent:
            proxy.swallow()
        before = expiry()
        wait_until(lambda before=before: expiry() > before, what="a renewal")  # type: ignore[misc]
    may_end.set()
    assert client.wait(run_id, timeout=60) == {"a": "kept"}
    worker.stop()


def test_a_handler_whose_question_is_not_answered_asks_again(
    client: Client, far_client: Client, proxy: Proxy
) -> None:
    def handler(ctx: Context) -> list[bool]:
        answers = [ctx.heartbeat()]
        proxy.swallow()
        return [*answers, ctx.heartbeat()]

    far_client.command("a")(handler)
    client.deploy({"slug": "one", "max_attempts": 1, "max_lost": 1, "steps": [{"name": "a"}]})
    worker = BackgroundWorker(far_client, lease=_LEASE)
    assert client.wait(client.start_flow("one"), timeout=60) == {"a": [True, True]}
    worker.stop()


def test_a_transaction_that_is_not_answered_ends_with_its_lease(
    client: Client, far_client: Client, proxy: Proxy, connection: psycopg.Connection[Any]
) -> None:
    """Otherwise it would keep its handler until the deadline, which is an hour away."""
    connection.execute("create table paid (attempt int)")
    has_failed = threading.Event()

    def handler(ctx: Context) -> int:
        with ctx.transaction() as own, contextlib.ExitStack() as stack:
            if ctx.attempt == 1:
                proxy.swallow()
                stack.enter_context(proxy.swallowing_new())
                stack.callback(has_failed.set)
            own.execute("insert into paid values (%s)", (ctx.attempt,))
        return ctx.attempt

    far_client.command("a")(handler)
    client.deploy({"slug": "one", "timeout": 3600, "steps": [{"name": "a"}]})
    worker = BackgroundWorker(far_client, lease=_LEASE)
    run_id = client.start_flow("one")
    assert has_failed.wait(60)
    assert client.wait(run_id, timeout=60) == {"a": 2}
    assert connection.execute("select attempt from paid").fetchall() == [(2,)]
    worker.stop()


@pytest.mark.parametrize("is_async", [False, True])
def test_who_waits_for_a_run_waits_no_longer_than_told(
    client: Client, proxy: Proxy, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_waiting, "PATIENCE_LEAST", 0.2)
    client.deploy({"slug": "one", "steps": [{"name": "a"}]})
    run_id = client.start_flow("one")

    async def wait() -> None:
        async with AsyncClient(proxy.dsn) as far_client:
            await far_client.status(run_id)
            proxy.swallow()
            await far_client.wait(run_id, timeout=0.5)

    def wait_in_a_thread() -> None:
        with Client(proxy.dsn) as far_client:
            far_client.status(run_id)
            proxy.swallow()
            far_client.wait(run_id, timeout=0.5)

    with pytest.raises(WaitTimeout, match="its status is 'started'"):
        asyncio.run(wait()) if is_async else wait_in_a_thread()
