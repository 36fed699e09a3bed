"""Who waits for runs' ends, and whose tasks are cancelled: both are told, and look as well."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from client.conftest import BackgroundWorker
from quantumflow_client import AsyncClient, Client, Context, RunCancelled, _waiting
from quantumflow_client import _listener as listener
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


Connection = psycopg.Connection[Any]

FLOW = {"slug": "flow", "steps": [{"name": "only"}]}
NEVER = 3600.0

_LISTENING = """
    select pid
    from pg_stat_activity
    where datname = current_database() and application_name = 'quantumflow listener'
    """


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits looks once, and then when it is told."""
    monkeypatch.setattr(_waiting, "_FIRST", NEVER)
    monkeypatch.setattr(_waiting, "_MOST", NEVER)
    monkeypatch.setattr(_waiting, "_MOST_TOLD", NEVER)


def start(client: Client) -> UUID:
    client.deploy(FLOW)
    return client.start_flow("flow")


def finish(connection: Connection, run_id: UUID) -> None:
    connection.execute("select quantumflow.complete_task(%s, 'only', 0, '1')", (run_id,))


def is_announced(connection: Connection, run_id: UUID) -> bool:
    query = "select announced from quantumflow.workflow_runs where id = %s"
    return connection.execute(query, (run_id,)).fetchone() == (True,)


def wait_until_announced(connection: Connection, *run_ids: UUID) -> None:
    wait_until(
        lambda: all(is_announced(connection, run_id) for run_id in run_ids),
        what="those who wait have asked to be told",
    )


@pytest.mark.usefixtures("patient")
def test_who_waits_is_told_on_one_connection_of_the_process(
    client: Client, dsn: str, connection: Connection
) -> None:
    run_ids = [start(client) for _ in range(6)]

    async def wait_as_tasks() -> list[Any]:
        async with AsyncClient(dsn) as tasks:
            return list(await asyncio.gather(*(tasks.wait(each, 20) for each in run_ids)))

    with ThreadPoolExecutor(7) as pool:
        as_tasks = pool.submit(asyncio.run, wait_as_tasks())
        as_threads = [pool.submit(client.wait, each, 20) for each in run_ids]
        wait_until_announced(connection, *run_ids)
        assert len(connection.execute(_LISTENING).fetchall()) == 1
        for run_id in run_ids:
            finish(connection, run_id)
        assert [each.result() for each in as_threads] == [{"only": 1}] * 6
        assert as_tasks.result() == [{"only": 1}] * 6
    wait_until(
        lambda: not connection.execute(_LISTENING).fetchall(), what="nobody listens any more"
    )
    assert listener._listeners == {}


@pytest.mark.usefixtures("patient")
def test_what_ended_while_nobody_could_hear_is_seen_when_somebody_can(
    client: Client, connection: Connection
) -> None:
    run_id = start(client)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.wait, run_id, 20)
        wait_until_announced(connection, run_id)
        with connection.transaction():
            # Both at once: its notification goes to nobody.
            connection.execute(f"select pg_terminate_backend(pid) from ({_LISTENING}) l")
            finish(connection, run_id)
        assert waiting.result() == {"only": 1}


@pytest.mark.parametrize("why", ["told nothing", "deaf", "not allowed"])
def test_who_is_not_told_looks(
    why: str, client: Client, dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start(client)
    asked: list[str] = []
    if why == "told nothing":
        connection.execute("select quantumflow.configure('notify', '0')")
        monkeypatch.setattr(_waiting, "_MOST_TOLD", 0.05)
    elif why == "deaf":

        def hear_nothing(*_: object) -> bool:
            asked.append(why)
            return False

        monkeypatch.setattr(listener._Listener, "_is_heard", hear_nothing)
    else:
        connection.execute("create role only_looks login")
        connection.execute("select quantumflow.grant_access('only_looks', 'viewer')")
        client = Client(psycopg.conninfo.make_conninfo(dsn, user="only_looks"))
    with client, ThreadPoolExecutor(2) as pool:
        if why == "deaf":
            with pytest.raises(TimeoutError):
                client.wait(run_id, 0.5)
        waiting = pool.submit(client.wait, run_id, 30)
        if why == "told nothing":
            wait_until_announced(connection, run_id)
        else:
            wait_until(lambda: listener._listeners, what="it has tried to listen")
        finish(connection, run_id)
        assert waiting.result() == {"only": 1}
    if why == "deaf":
        assert len(asked) == 1, "who knows that nothing arrives does not try it out again"
    if why == "not allowed":
        connection.execute("select quantumflow.revoke_access('only_looks')")
        connection.execute("drop role only_looks")


@pytest.mark.usefixtures("patient")
def test_tasks_of_a_loop_with_a_pool_are_told_where_the_pool_goes(
    client: Client, dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATABASE", "elsewhere")
    run_id = start(client)

    async def wait() -> Any:
        async with AsyncConnectionPool(dsn, min_size=1, max_size=1) as pool:
            waiting = asyncio.ensure_future(AsyncClient(pool).wait(run_id, 20))
            await asyncio.to_thread(wait_until_announced, connection, run_id)
            finish(connection, run_id)
            return await waiting

    assert asyncio.run(wait()) == {"only": 1}


def test_a_worker_learns_at_once_that_its_tasks_are_for_nothing(
    client: Client, work: Callable[..., BackgroundWorker]
) -> None:
    began, told, is_over = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    @client.command("only")
    def only(ctx: Context) -> None:
        began.release()
        # The lease is renewed in 20 minutes.
        wait_until(lambda: ctx.cancelled or is_over.is_set(), what="the handler is told")
        if ctx.cancelled:
            told.release()

    run_ids = [start(client) for _ in range(2)]
    work(lease=timedelta(hours=1), concurrency=2)
    for _ in run_ids:
        assert began.acquire(timeout=20)
    wait_until(
        lambda: any(each._is_listening for each in listener._listeners.values()), what="it hears"
    )
    client.cancel(run_ids[0])
    with pytest.raises(RunCancelled):
        client.wait(run_ids[0], 20)
    assert told.acquire(timeout=15)
    assert not told.acquire(blocking=False), "the other one goes on"
    is_over.set()
    client.wait(run_ids[1], 20)


def wait_for_all(dsn: str, run_ids: Sequence[UUID]) -> list[float]:
    """When each end was known, by half as many threads and tasks as there are runs."""
    half = len(run_ids) // 2

    async def as_tasks() -> list[float]:
        async with AsyncClient(dsn) as client:

            async def wait(run_id: UUID) -> float:
                await client.wait(run_id, 300)
                return time.time()

            return list(await asyncio.gather(*map(wait, run_ids[half:])))

    with Client(dsn) as client, ThreadPoolExecutor(half + 1) as pool:

        def wait(run_id: UUID) -> float:
            client.wait(run_id, 300)
            return time.time()

        loop = pool.submit(asyncio.run, as_tasks())
        known = list(pool.map(wait, run_ids[:half]))
        return known + loop.result()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_thousand_wait_for_a_thousand(
    client: Client,
    dsn: str,
    connection: Connection,
    record_property: Callable[[str, object], None],
) -> None:
    client.deploy(FLOW)
    run_ids = client.start_flows("flow", [{}] * 1000)
    parts = [run_ids[n::2] for n in range(2)]
    ended: dict[UUID, float] = {}
    sessions = 0
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(wait_for_all, dsn, part) for part in parts]
        wait_until_announced(connection, *run_ids)
        for run_id in run_ids:
            finish(connection, run_id)
            ended[run_id] = time.time()
            (now,) = connection.execute(
                "select count(*) from pg_stat_activity where datname = current_database()"
            ).fetchone() or (0,)
            sessions = max(sessions, now)
            time.sleep(0.005)
        late = sorted(
            known - ended[run_id]
            for part, found in zip(parts, waiting, strict=True)
            for run_id, known in zip(part, found.result(), strict=True)
        )
    assert len(late) == 1000
    assert sessions <= 2 * (10 + 10 + 2) + 4
    record_property("sessions at most", sessions)
    record_property(
        "known after, ms: half, 95 of 100, the last",
        [round(1000 * late[int(share * 999)], 1) for share in (0.5, 0.95, 1)],
    )
