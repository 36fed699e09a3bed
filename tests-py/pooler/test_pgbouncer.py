"""Through PgBouncer: everything works, in either mode; in transaction mode nothing is heard."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from client.conftest import BackgroundWorker
from quantumflow_client import AsyncClient, Client, Context, Flow
from quantumflow_client import _listener as listener
from support.command import Command
from support.pgbouncer import PROGRAM, pgbouncer
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer here")

MODES = ["transaction", "session"]


@pytest.fixture
def pooler(dsn: str) -> Iterator[Callable[[str], str]]:
    """Starts PgBouncer in a mode; the way through it."""
    with ExitStack() as stack:
        yield lambda mode: stack.enter_context(
            pgbouncer(dsn, mode, size=4 if mode == "transaction" else 30)
        )


@pytest.fixture
def flow(connection: Connection) -> Flow:
    """A map, one of whose steps writes into a table in the task's own transaction."""
    connection.execute("create table public.paid (item int)")
    flow = Flow("flow", retry_delay=0)

    @flow.map
    def pay(item: int, ctx: Context) -> int:
        with ctx.transaction() as transaction:
            transaction.execute("insert into public.paid values (%s)", (item,))
            if item % 10 == 0 and ctx.attempt == 1:
                raise ValueError(item)
        return item

    @flow.step(depends_on=[pay])
    async def total(pay: list[int], ctx: Context) -> int:
        async with ctx.transaction() as transaction:
            await transaction.execute("insert into public.paid values (-1)")
        return sum(pay)

    return flow


@pytest.mark.parametrize("mode", MODES)
def test_workers_share_few_connections(
    mode: str, pooler: Callable[[str], str], flow: Flow, connection: Connection
) -> None:
    through = pooler(mode)
    clients = [Client(through) for _ in range(2)]
    for client in clients:
        client.deploy(flow)
    workers = [BackgroundWorker(client, concurrency=3) for client in clients]
    runs = [clients[0].start_flow("flow", list(range(30))) for _ in range(4)]
    for run_id in runs:
        assert clients[1].wait(run_id, timeout=60) == {"total": 435}
    assert [worker.stop() for worker in workers]
    for client in clients:
        assert client.check() == []
        client.close()
    paid = "select count(*), count(distinct item), sum(item) from public.paid"
    assert connection.execute(paid).fetchone() == (124, 31, 4 * 435 - 4)


@pytest.mark.parametrize("mode", MODES)
def test_settings_of_a_role_change_nothing_that_is_read(
    mode: str, pooler: Callable[[str], str], connection: Connection
) -> None:
    """PgBouncer refuses what sessions ask for, so transactions say it."""
    name = connection.info.dbname
    for setting in (
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'iso_8601'",
        "client_encoding = 'SQL_ASCII'",
        "standard_conforming_strings = off",
    ):
        connection.execute(f"alter database {name} set {setting}".encode())
    flow = Flow("odd", queue="odd")

    def look(found: Any) -> list[Any]:
        return [
            abs(found[0] - datetime.now(timezone.utc)) < timedelta(hours=1),
            found[1] + found[1] == timedelta(days=2),
            found[2],
        ]

    query = "select now(), interval '1 day', 'é'"

    @flow.step
    def reads(ctx: Context) -> list[Any]:
        with ctx.transaction() as transaction:
            return look(transaction.execute(query).fetchone())

    @flow.step
    async def areads(ctx: Context) -> list[Any]:
        async with ctx.transaction() as transaction:
            return look(await (await transaction.execute(query)).fetchone())

    with Client(pooler(mode)) as client:
        client.deploy(flow)
        run_id = client.start_flow("odd", "größe")
        client.poll_and_run(until_idle=True)
        assert client.wait(run_id, 0) == {"reads": [True, True, "é"], "areads": [True, True, "é"]}
        assert client.status(run_id)["input"] == "größe"
        assert client.deploy(flow).frozen_at is not None


@pytest.mark.parametrize("mode", MODES)
def test_the_asynchronous_client_works(mode: str, pooler: Callable[[str], str], flow: Flow) -> None:
    async def main(through: str) -> object:
        client = AsyncClient(through)
        await client.deploy(flow)
        run_id = await client.start_flow("flow", [1, 2])
        with Client(through) as worker:
            worker.register(flow)
            await asyncio.to_thread(worker.poll_and_run, until_idle=True)
        output = await client.wait(run_id, timeout=30)
        await client.close()
        return output

    assert asyncio.run(main(pooler(mode))) == {"total": 3}


@pytest.mark.parametrize("mode", MODES)
def test_the_command_works(
    mode: str, pooler: Callable[[str], str], flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    through = pooler(mode)
    quantumflow = Command(through)
    monkeypatch.setitem(sys.modules, "app", SimpleNamespace(flow=flow))
    quantumflow("worker", "app:flow", "--deploy", "--until-idle")
    run_id = quantumflow.start("flow", "[1, 2, 3]")
    assert quantumflow.json("worker", "app:flow", "--until-idle") == {"tasks_run": 4}
    assert quantumflow.json("status", run_id)["output"] == {"total": 6}
    quantumflow("check")


def hears(one: Any) -> bool:
    return bool(one._is_listening)


def test_in_transaction_mode_workers_look_by_themselves(
    pooler: Callable[[str], str],
    flow: Flow,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(listener, "PATIENCE", 0.5)
    with (
        caplog.at_level(logging.WARNING, "quantumflow_client"),
        Client(pooler("transaction")) as client,
    ):
        client.deploy(flow)
        worker = BackgroundWorker(client)
        wait_until(lambda: "do not arrive" in caplog.text, what="it says so")
        assert client.wait(client.start_flow("flow", [1]), timeout=30) == {"total": 1}
        worker.stop()


@pytest.mark.parametrize("past", [False, True])
def test_notifications_arrive_in_session_mode_and_past_the_pooler(
    past: bool, pooler: Callable[[str], str], flow: Flow, dsn: str
) -> None:
    through = pooler("transaction" if past else "session")
    with Client(through) as client:
        client.deploy(flow)
        worker = BackgroundWorker(client, listen=dsn if past else True)
        wait_until(lambda: any(map(hears, listener._listeners.values())), what="it hears")
        assert client.wait(client.start_flow("flow", [1]), timeout=30) == {"total": 1}
        worker.stop()
