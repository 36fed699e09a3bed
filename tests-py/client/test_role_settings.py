"""Whatever a role has set, clients and workers understand what they read.

Each scene has many settings at once, in their odd values.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from client.conftest import BackgroundWorker
from quantumflow_client import (
    AsyncClient,
    Client,
    Context,
    Flow,
    RunFailed,
)
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

Connection = psycopg.Connection[Any]

ODD = {
    "array_nulls": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "TimeZone": "America/New_York",
    "transform_null_equals": "on",
}
ROLES = {
    "sql": ODD
    | {"DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "client_encoding": "SQL_ASCII"},
    "german": ODD
    | {"DateStyle": "German", "IntervalStyle": "iso_8601", "client_encoding": "LATIN1"},
    "postgres": ODD
    | {"DateStyle": "Postgres, MDY", "IntervalStyle": "postgres_verbose", "lc_messages": "C"},
}


@pytest.fixture(params=ROLES)
def plain(request: pytest.FixtureRequest, connection: Connection) -> Connection:
    """A session that was there before its role got odd settings."""
    for name, value in ROLES[request.param].items():
        statement = sql.SQL("alter role current_user in database {} set {} = {}").format(
            *map(sql.Identifier, (connection.info.dbname, name)), sql.Literal(value)
        )
        connection.execute(statement)
    return connection


@pytest.fixture(params=["direct", "unprepared", "pool"])
def sources(request: pytest.FixtureRequest, dsn: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    with ExitStack() as stack:
        if request.param == "pool":
            yield stack.enter_context(ConnectionPool(dsn, min_size=1, max_size=6)), {}
        else:
            yield dsn, {"prepare_threshold": 5 if request.param == "direct" else None}


def flow_of(plain: Connection, *, is_ours: bool) -> Flow:
    """A map of which an item fails once, a step that is renewed, and one that reads a time."""
    flow = Flow("odd", queue="odd", retry_delay=0)

    @flow.map
    def each(item: str, ctx: Context) -> str:
        if ctx.attempt == 1 and item == "größe":
            raise RuntimeError("größer \\ '")
        return f"{item} \\ '"

    def expiry() -> Any:
        return plain.execute("select min(vt) from pgmq.q_odd").fetchone()

    @flow.step(depends_on=[each])
    def renewed(each: list[str], ctx: Context) -> bool:
        before = expiry()
        wait_until(lambda: expiry() > before, what="a renewal")
        return ctx.heartbeat()

    @flow.step(depends_on=[renewed])
    def reads(ctx: Context) -> list[Any]:
        with ctx.transaction() as transaction:
            if not is_ours:  # a session of a pool is as its owner wants it
                return [transaction.execute("select true").fetchone() == (True,), "é"]
            found: Any = transaction.execute("select now(), interval '1 day 2 s', 'é'").fetchone()
        return [abs(found[0] - datetime.now(timezone.utc)) < timedelta(hours=1), *found[1:]][::2]

    return flow


def test_all_goes_well(
    plain: Connection, sources: tuple[Any, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "quantumflow_client")
    source, options = sources
    with Client(source, **options) as client:
        flow = flow_of(plain, is_ours=isinstance(source, str))
        assert client.deploy(flow).workflow_slug == "odd"
        worker = BackgroundWorker(client, lease=timedelta(seconds=1))
        # The encoding of a pool's session is its owner's, too.
        key = "€ß\\'" if isinstance(source, str) else "ß\\'"
        run_id = client.start_flow(
            "odd", ["größe", "b"], start_at=datetime.now(timezone.utc), idempotency_key=key
        )
        assert client.wait(run_id, timeout=30) == {"reads": [True, "é"]}
        assert [failed.error_message for failed in client.failures(run_id)] == [
            "RuntimeError: größer \\ '"
        ]
        assert client.deploy(flow.definition()).frozen_at is not None
        worker.stop()
    assert "renewed" not in caplog.text
    assert [record.levelname for record in caplog.records if "größer" not in record.message] == []


def test_the_asynchronous_client_and_lent_connections(plain: Connection, dsn: str) -> None:
    one = {"slug": "one", "queue": "lent", "max_attempts": 1, "steps": [{"name": "a"}]}

    async def main() -> None:
        async with AsyncClient(dsn) as client, AsyncConnectionPool(dsn, open=False) as pool:
            await client.deploy(one)
            run_id = await client.start_flow("one")
            await client.cancel(run_id, "größer")
            assert (await client.status(run_id))["error_message"] == "größer"
            assert (await AsyncClient(pool).status(run_id))["error_message"] == "größer"
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            version = await client.deploy(one, connection=connection)
            assert (version.workflow_slug, version.frozen_at is None) == ("one", False)
            assert await client.start_flow("one", connection=connection) != run_id

    asyncio.run(main())
    with Client(dsn) as client, psycopg.connect(dsn) as lent:
        assert client.deploy(one, connection=lent).workflow_slug == "one"
        run_id = client.start_flow("one", "größe", connection=lent)
        lent.commit()

        @client.command("a")
        def a(run: str, ctx: Context) -> None:
            with psycopg.connect(dsn) as own:
                ctx.complete(run, connection=own)
            raise RuntimeError("is not heard any more")

        client.poll_and_run(until_idle=True, queues=["lent"])
        assert client.wait(run_id, timeout=0) == {"a": "größe"}


def test_a_run_that_fails_says_why(plain: Connection, dsn: str) -> None:
    def fails() -> None:
        raise ValueError("größer")

    with Client(dsn, prepare_threshold=None) as client:
        client.command("a")(fails)
        client.deploy({"slug": "one", "max_attempts": 1, "steps": [{"name": "a"}]})
        run_id = client.start_flow("one")
        client.poll_and_run(until_idle=True)
        with pytest.raises(RunFailed, match="größer"):
            client.wait(run_id, timeout=0)
