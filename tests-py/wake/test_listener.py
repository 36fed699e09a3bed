"""Workers that are told of new work: on one connection a process, which may be lost, or deaf."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from client.conftest import BackgroundWorker
from quantumflow_client import Client, _connections
from quantumflow_client import _listener as listener
from quantumflow_client._worker import core
from support.proxy import Proxy
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Connect
    from quantumflow_client.embedded import EmbeddedServer

Connection = psycopg.Connection[Any]

FLOW = {"slug": "flow", "steps": [{"name": "only"}]}
NEVER = 3600.0

_LISTENING = """
    select pid, state, backend_xmin, backend_xid
    from pg_stat_activity
    where datname = current_database() and query = 'listen quantumflow'
      and application_name = 'quantumflow listener'
    """


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle workers never look by themselves, but soon after they found something."""
    monkeypatch.setattr(core, "IDLE_MOST", NEVER)
    monkeypatch.setattr(core, "IDLE_MOST_LISTENING", NEVER)
    monkeypatch.setattr(core, "IDLE_FIRST", NEVER)
    monkeypatch.setattr(core, "IDLE_WOKEN", NEVER)


@pytest.fixture
def serve() -> Iterator[Callable[..., BackgroundWorker]]:
    """Starts workers for the step of FLOW; stops them at the end."""
    with contextlib.ExitStack() as stack:

        def start(source: Any, **options: Any) -> BackgroundWorker:
            client = stack.enter_context(Client(source))
            client.command("only")(lambda: None)
            client.deploy(FLOW)
            worker = BackgroundWorker(client, handle_signals=False, **options)
            stack.callback(worker.stop)
            return worker

        yield start


@pytest.fixture
def watcher(connect: Connect) -> Connection:
    """The session that looks."""
    return connect()


def listeners(watcher: Connection) -> list[tuple[Any, ...]]:
    return watcher.execute(_LISTENING).fetchall()


def wait_until_heard() -> None:
    """Wait until the one listener of this process has heard itself."""
    wait_until(
        lambda: [each for each in listener._listeners.values() if each._is_listening],
        what="the listener hears",
    )


def run_one(client: Client) -> None:
    client.wait(client.start_flow("flow"), timeout=20)


@pytest.mark.usefixtures("patient")
def test_an_idle_worker_is_woken(dsn: str, serve: Callable[..., BackgroundWorker]) -> None:
    worker = serve(dsn)
    wait_until_heard()
    for _ in range(3):
        run_one(worker.client)


@pytest.mark.usefixtures("patient")
def test_no_start_is_missed_whenever_it_comes(
    dsn: str, serve: Callable[..., BackgroundWorker]
) -> None:
    workers = [serve(dsn, concurrency=1), serve(dsn, concurrency=2)]
    wait_until_heard()

    def start(seed: int) -> None:
        chance = random.Random(seed)
        with Client(dsn) as client:
            for _ in range(50):
                run_id = client.start_flow("flow")
                time.sleep(chance.random() / 100)
                if chance.random() < 0.2:
                    client.wait(run_id, timeout=20)
            client.wait(run_id, timeout=20)

    with ThreadPoolExecutor() as pool:
        list(pool.map(start, range(4)))
    assert sum(worker.stop() for worker in workers) == 200


def test_workers_of_a_process_share_an_idle_connection(
    dsn: str, serve: Callable[..., BackgroundWorker], watcher: Connection
) -> None:
    first, second = serve(dsn), serve(dsn)
    wait_until_heard()
    run_one(first.client)
    ((_, state, xmin, xid),) = listeners(watcher)
    assert (state, xmin, xid) == ("idle", None, None)
    first.stop()
    assert len(listeners(watcher)) == 1
    second.stop()
    wait_until(lambda: not listeners(watcher), what="the listener has gone")
    assert listener._listeners == {}


@pytest.mark.parametrize("options", [{"listen": False}, {"once": True}, {"until_idle": True}])
def test_it_is_not_opened_where_it_is_not_wanted(
    options: dict[str, Any],
    dsn: str,
    serve: Callable[..., BackgroundWorker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = []
    monkeypatch.setattr(listener, "_Listener", lambda *_: opened.append(1))
    worker = serve(dsn, **options)
    if "listen" in options:
        run_one(worker.client)
        worker.stop()
    worker.join()
    assert opened == []


@pytest.mark.usefixtures("patient")
def test_a_lost_connection_comes_again_and_nothing_is_missed(
    dsn: str,
    serve: Callable[..., BackgroundWorker],
    watcher: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = serve(dsn)
    wait_until_heard()
    ((pid, *_),) = listeners(watcher)
    may_go_on = threading.Event()
    connect = _connections.connect

    def connect_later(dsn: str, **options: Any) -> Connection:
        assert may_go_on.wait(20)
        return connect(dsn, **options)

    monkeypatch.setattr(_connections, "connect", connect_later)
    watcher.execute("select pg_terminate_backend(%s)", (pid,))
    wait_until(lambda: not listeners(watcher), what="nobody listens")
    run_id = worker.client.start_flow("flow")
    may_go_on.set()
    worker.client.wait(run_id, timeout=20)
    run_one(worker.client)


@pytest.mark.usefixtures("patient")
def test_a_connection_that_fell_silent_is_replaced(
    dsn: str, serve: Callable[..., BackgroundWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "ASK_EVERY", 0.1)
    monkeypatch.setattr(listener, "PATIENCE", 1.0)
    monkeypatch.setattr(listener, "RETRY_DEAF", 0.1)
    with Proxy(dsn) as proxy:
        worker = serve(dsn, listen=proxy.dsn)
        wait_until_heard()
        (ours,) = listener._listeners.values()
        proxy.swallow()
        wait_until(lambda: not ours._is_listening, what="it has noticed")
        wait_until_heard()
        run_one(worker.client)
        worker.stop()


@pytest.mark.usefixtures("patient")
def test_a_pool_gives_no_connection_for_it(
    dsn: str, serve: Callable[..., BackgroundWorker], watcher: Connection
) -> None:
    with ConnectionPool(dsn, min_size=2, max_size=4, open=True) as pool:
        worker = serve(pool)
        wait_until_heard()
        run_one(worker.client)
        ((pid, *_),) = listeners(watcher)
        pool.drain()
        run_one(worker.client)
        assert [row[0] for row in listeners(watcher)] == [pid]
        worker.stop()


def test_who_hears_nothing_says_so_once_and_looks(
    dsn: str,
    server: EmbeddedServer,
    serve: Callable[..., BackgroundWorker],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(listener, "PATIENCE", 0.2)
    monkeypatch.setattr(listener, "RETRY_DEAF", 0.01)
    attempts = []
    connect = _connections.connect

    def count(dsn: str, **options: Any) -> Connection:
        attempts.append(dsn)
        return connect(dsn, **options)

    monkeypatch.setattr(_connections, "connect", count)
    with caplog.at_level(logging.WARNING, "quantumflow_client"):
        # Notifications stay in their database, as they stay in a pooler.
        worker = serve(dsn, listen=server.dsn("postgres"))
        wait_until(lambda: len(attempts) > 4, what="it was tried again")
        run_one(worker.client)
    said = [record.message for record in caplog.records if "do not arrive" in record.message]
    assert len(said) == 1


def test_each_hears_of_its_queues_alone(dsn: str, connection: Connection) -> None:
    heard: list[str] = []

    def ear(name: str) -> listener.Ear:
        return listener.Ear([name], lambda: heard.append(name), lambda _: None)

    def tell(queue: str) -> None:
        connection.execute("select pg_notify('quantumflow', %s)", (queue,))

    with (
        listener.listening(ear("a"), here=dsn, to=dsn),
        listener.listening(ear("b"), here=dsn, to=dsn),
    ):
        wait_until_heard()
        tell("b")
        wait_until(lambda: "b" in heard, what="the beginning is over")
        heard.clear()
        tell("c")
        tell("b")
        wait_until(lambda: "b" in heard, what="b was told")
    assert "a" not in heard
