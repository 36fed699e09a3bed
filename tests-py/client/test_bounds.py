"""A client has so many connections and no more; who finds none free waits, and is told why."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest

from client.conftest import BackgroundWorker
from quantumflow_client import (
    AsyncClient,
    Client,
    ConnectionsBusy,
    Context,
    Flow,
    WaitTimeout,
)
from quantumflow_client import _listener as listener
from quantumflow_client.errors import UnknownRun
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Connection = psycopg.Connection[Any]

ONE = {"slug": "one", "steps": [{"name": "a"}]}
MANY = 40
NAMED = " application_name=bounded"
LISTENER = "application_name = 'quantumflow listener'"
SESSIONS = "select pid from pg_stat_activity where application_name = 'bounded'"
BLOCKED = f"{SESSIONS} and wait_event_type = 'Lock'"


@pytest.fixture(autouse=True)
def _defined(client: Client) -> None:
    client.deploy(ONE)


@contextmanager
def blocking(connection: Connection, sessions: int) -> Iterator[Callable[[], None]]:
    """Lets nobody start a run meanwhile; what it gives waits until so many sessions stand still."""

    def settled() -> None:
        wait_until(lambda: connection.execute(BLOCKED.encode()).rowcount == sessions)
        assert connection.execute(SESSIONS.encode()).rowcount == sessions

    with psycopg.connect(connection.info.dsn) as other:
        other.execute("lock table quantumflow.workflow_runs in share mode")
        yield settled


def in_line(client: Client | AsyncClient) -> int:
    return len(client._connections._places._line)


def test_calls_of_many_threads_share_ten_connections(
    dsn: str, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(dsn + NAMED) as client, ThreadPoolExecutor(MANY) as threads:
        with blocking(connection, 10) as settled:
            started = [threads.submit(client.start_flow, "one") for _ in range(MANY)]
            wait_until(lambda: in_line(client) == MANY - 10)
            settled()
        assert len({future.result(30) for future in started}) == MANY
        assert connection.execute(SESSIONS.encode()).rowcount <= 10
    wait_until(lambda: connection.execute(SESSIONS.encode()).rowcount == 0)
    assert [record.message for record in caplog.records] == [
        "all 10 connections of a client are in use: calls wait for one (max_connections)"
    ]


def test_calls_of_many_tasks_share_ten_connections(
    dsn: str, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> set[UUID]:
        async with AsyncClient(dsn + NAMED) as client:
            with blocking(connection, 10) as settled:
                started = [asyncio.create_task(client.start_flow("one")) for _ in range(MANY)]
                await asyncio.to_thread(settled)
                assert in_line(client) == MANY - 10
            return set(await asyncio.gather(*started))

    assert len(asyncio.run(main())) == MANY
    wait_until(lambda: connection.execute(SESSIONS.encode()).rowcount == 0)
    assert len(caplog.records) == 1


def test_who_waits_for_too_long_is_told_the_bound_and_what_to_do(
    dsn: str, connection: Connection
) -> None:
    with (
        Client(dsn + NAMED, max_connections=2, connection_timeout=0.1) as client,
        ThreadPoolExecutor(2) as threads,
    ):
        with blocking(connection, 2) as settled:
            started = [threads.submit(client.start_flow, "one") for _ in range(2)]
            settled()
            with pytest.raises(ConnectionsBusy, match=r"all 2 connections .* in use for 0") as busy:
                client.start_flow("one")
            assert isinstance(busy.value, TimeoutError)
            assert (busy.value.max_connections, busy.value.seconds >= 0.1) == (2, True)
            assert "max_connections" in str(busy.value)
            # A wait has its own time, and goes on after such a refusal.
            with pytest.raises(WaitTimeout, match="in use for"):
                client.wait(uuid4(), timeout=0.25)
        for future in started:
            future.result(30)
        with pytest.raises(UnknownRun):
            client.status(uuid4())


def test_a_task_that_waits_for_too_long_is_told_so_too(dsn: str, connection: Connection) -> None:
    async def main() -> None:
        async with AsyncClient(dsn + NAMED, max_connections=1, connection_timeout=0.1) as client:
            with blocking(connection, 1) as settled:
                started = asyncio.create_task(client.start_flow("one"))
                await asyncio.to_thread(settled)
                with pytest.raises(ConnectionsBusy, match="all 1 connections"):
                    await client.start_flow("one")
                with pytest.raises(WaitTimeout):
                    await client.wait(uuid4(), timeout=0.25)
            await started
            await client.start_flow("one")

    asyncio.run(main())


def test_who_is_cancelled_in_line_leaves_no_gap(dsn: str, connection: Connection) -> None:
    async def main() -> None:
        async with AsyncClient(dsn + NAMED, max_connections=2) as client:
            with blocking(connection, 2) as settled:
                started = [asyncio.create_task(client.start_flow("one")) for _ in range(6)]
                await asyncio.to_thread(settled)
                assert in_line(client) == 4
                # Of those in line, and of those that are being answered.
                for task in (started[0], started[2], started[3]):
                    task.cancel()
                ended = await asyncio.gather(started[0], *started[2:4], return_exceptions=True)
                assert all(isinstance(error, asyncio.CancelledError) for error in ended)
            await asyncio.gather(started[1], *started[4:])
            assert client._connections._places._free == 2
            await asyncio.gather(*(client.start_flow("one") for _ in range(6)))

    asyncio.run(main())


def test_who_is_cancelled_as_a_place_is_given_passes_it_on(dsn: str) -> None:
    async def main() -> None:
        async with AsyncClient(dsn, max_connections=1) as client:
            connections = client._connections
            await connections._take_place()
            first = asyncio.create_task(connections._take_place())
            second = asyncio.create_task(connections._take_place())
            await asyncio.sleep(0)
            assert in_line(client) == 2
            connections._places.pass_on()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            await asyncio.wait_for(second, 10)

    asyncio.run(main())


def test_a_connection_that_dies_while_it_is_lent_leaves_no_gap(
    dsn: str, connection: Connection
) -> None:
    with (
        Client(dsn + NAMED, max_connections=2) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        with blocking(connection, 2) as settled:
            started = [threads.submit(client.start_flow, "one") for _ in range(2)]
            settled()
            waiting = [threads.submit(client.start_flow, "one") for _ in range(2)]
            wait_until(lambda: in_line(client) == 2)
            killed = f"select pg_terminate_backend(pid) from ({BLOCKED}) dead"
            connection.execute(killed.encode())
            for future in started:
                with pytest.raises(psycopg.OperationalError):
                    future.result(30)
        for future in waiting:
            future.result(30)
        assert client._connections._places._free == 2


def test_a_server_that_refuses_leaves_no_gap(dsn: str) -> None:
    async def main() -> None:
        async with AsyncClient("host=/nonexistent", max_connections=1) as client:
            for _ in range(2):
                with pytest.raises(psycopg.OperationalError):
                    await client.start_flow("one")

    with Client("host=/nonexistent", max_connections=1, connection_timeout=1) as client:
        for _ in range(2):
            with pytest.raises(psycopg.OperationalError):
                client.start_flow("one")
    asyncio.run(main())


def test_event_loops_share_a_client(dsn: str, connection: Connection) -> None:
    """Each in a thread of its own, one connection for all, and loops that end meanwhile."""
    client = AsyncClient(dsn + NAMED, max_connections=1)
    loops = 3

    async def main() -> int:
        return len(await asyncio.gather(*(client.start_flow("one") for _ in range(10))))

    with ThreadPoolExecutor(loops) as threads:
        ended: list[Future[int]] = [threads.submit(asyncio.run, main()) for _ in range(loops)]
        assert [future.result(60) for future in ended] == [10] * loops
    assert connection.execute(SESSIONS.encode()).rowcount == 1
    asyncio.run(client.close())
    wait_until(lambda: connection.execute(SESSIONS.encode()).rowcount == 0)


def test_a_client_that_is_closed_serves_who_waits_and_keeps_nothing(
    dsn: str, connection: Connection
) -> None:
    client = Client(dsn + NAMED, max_connections=1)
    with ThreadPoolExecutor(2) as threads:
        with blocking(connection, 1) as settled:
            started = [threads.submit(client.start_flow, "one") for _ in range(2)]
            settled()
            wait_until(lambda: in_line(client) == 1)
            client.close()
        for future in started:
            future.result(30)
    wait_until(lambda: connection.execute(SESSIONS.encode()).rowcount == 0)

    async def main() -> None:
        aclient = AsyncClient(dsn + NAMED, max_connections=1)
        with blocking(connection, 1) as settled:
            started = [asyncio.create_task(aclient.start_flow("one")) for _ in range(2)]
            await asyncio.to_thread(settled)
            await aclient.close()
        await asyncio.gather(*started)

    asyncio.run(main())
    wait_until(lambda: connection.execute(SESSIONS.encode()).rowcount == 0)


def test_a_client_that_is_entered_again_keeps_connections_again(dsn: str) -> None:
    client = Client(dsn)
    for _ in range(2):
        with client:
            client.start_flow("one")
            assert len(client._connections._places._idle) == 1
        assert not client._connections._places._idle


@pytest.mark.parametrize("is_async", [False, True])
def test_a_worker_opens_as_many_as_the_operators_guide_says(
    dsn: str, connection: Connection, is_async: bool
) -> None:
    """Two and one to listen, each handler's transaction, and the client's for what they ask."""
    together, counted = threading.Barrier(3), []

    def count() -> None:
        together.wait(30)
        counted.append(connection.execute(f"{SESSIONS} or {LISTENER}".encode()).rowcount)

    def handler(ctx: Context) -> bool:
        with ctx.transaction():
            count()
            return ctx.heartbeat()

    async def async_handler(ctx: Context) -> bool:
        async with ctx.transaction():
            await asyncio.to_thread(count)
            return await asyncio.to_thread(ctx.heartbeat)

    with Client(dsn + NAMED, max_connections=2) as client:
        flow = Flow("many")
        flow.map("a")(async_handler if is_async else handler)
        client.deploy(flow)
        worker = BackgroundWorker(client, concurrency=3)
        wait_until(lambda: any(one._is_listening for one in listener._listeners.values()))
        run_id = client.start_flow("many", list(range(30)))
        assert client.wait(run_id, timeout=30) == {"a": [True] * 30}
        worker.stop()
    assert max(counted) <= 2 + 1 + 3 + 2
    assert max(counted) >= 2 + 1 + 3


FORK = """
import asyncio, os, sys, threading
from quantumflow_client import AsyncClient, Client

dsn = sys.argv[1]
client, aclient = Client(dsn, max_connections=2), AsyncClient(dsn, max_connections=2)

def pids():
    async def ask():
        runs = [await aclient.start_flow("one") for _ in range(20)]
        return [(await aclient.status(run))["run_id"] == str(run) for run in runs]
    runs = [client.start_flow("one") for _ in range(20)]
    answers = [client.status(run)["run_id"] == str(run) for run in runs]
    return all(answers + asyncio.run(ask()))

assert pids()
# As if other threads were in the middle of calls: every place is taken, and the locks are held.
places = [c._connections._places for c in (client, aclient)]
for each in places:
    for _ in range(2):
        each.take(lambda: True)
    each._lock.acquire()
client._workers.add(client)  # its stop() takes the lock
client._lock.acquire()
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        client.stop()
        os._exit(0 if pids() else 1)
    children.append(child)
client._workers.clear()
client._lock.release()
for each in places:
    each._lock.release()
    for _ in range(2):
        each.pass_on()
mine = pids()
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(mine, codes)
"""


def test_a_fork_has_connections_of_its_own(dsn: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK, dsn], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "True [0, 0, 0]\n", done.stderr
