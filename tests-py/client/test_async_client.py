"""The asynchronous client: the same calls on an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from quantumflow_client import AsyncClient, Client, RunCancelled, WaitTimeout
from quantumflow_client.errors import RunHasEnded, UnknownRun

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

ONE = {"slug": "one", "steps": [{"name": "a"}]}


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def test_runs_are_started_and_waited_for(
    client: Client, dsn: str, work: Callable[..., Any]
) -> None:
    client.command("a")(lambda run: run["n"] * 2)

    async def main() -> None:
        async with AsyncClient(dsn) as aclient:
            version = await aclient.deploy(ONE)
            assert version.version == 1
            work()
            run_id = await aclient.start_flow("one", {"n": 21})
            assert await aclient.wait(run_id, timeout=30) == {"a": 42}
            assert (await aclient.status(run_id))["status"] == "completed"
            runs = await aclient.start_flows("one", [{"n": n} for n in range(10)])
            outputs = await asyncio.gather(*(aclient.wait(r, timeout=30) for r in runs))
            assert outputs == [{"a": 2 * n} for n in range(10)]
            with pytest.raises(RunHasEnded):
                await aclient.cancel(run_id)

    run(main())


def test_a_condition_is_asked_of_an_input(dsn: str) -> None:
    steps = [{"name": "a"}, {"name": "b", "depends_on": ["a"], "if": '$status.a == "failed"'}]

    async def main() -> None:
        async with AsyncClient(dsn) as aclient:
            await aclient.deploy({"slug": "asked", "steps": steps})
            assert (await aclient.test_condition("asked", "b", {"run": 1})).result is False
            answer = await aclient.test_condition("asked", "b", {}, status={"a": "failed"})
            assert (answer.result, answer.saw) == (True, {"$status.a": ["failed"]})

    run(main())


def test_errors_are_the_same(dsn: str) -> None:
    async def main() -> None:
        async with AsyncClient(dsn) as aclient:
            with pytest.raises(UnknownRun):
                await aclient.wait(uuid4())
            await aclient.deploy(ONE)
            run_id = await aclient.start_flow("one")
            with pytest.raises(WaitTimeout):
                await aclient.wait(run_id, timeout=0.05)
            await aclient.cancel(run_id, "no")
            with pytest.raises(RunCancelled):
                await aclient.wait(run_id)

    run(main())


def test_a_start_joins_the_callers_transaction(client: Client, dsn: str) -> None:
    client.deploy(ONE)

    async def main() -> None:
        connection = await psycopg.AsyncConnection.connect(dsn)
        async with AsyncClient(dsn) as aclient, connection:
            lost = await aclient.start_flow("one", connection=connection)
            await connection.rollback()
            kept = await aclient.start_flow("one", connection=connection)
            await connection.commit()
            with pytest.raises(UnknownRun):
                await aclient.status(lost)
            await aclient.status(kept)

    run(main())


def test_a_pool_is_used_and_left_open(dsn: str) -> None:
    async def main() -> None:
        async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool:
            async with AsyncClient(pool) as aclient:
                await aclient.deploy(ONE)
            async with pool.connection() as connection:
                await connection.execute("select 1")

    run(main())


def test_a_cancelled_wait_leaves_the_client_usable(client: Client, dsn: str) -> None:
    client.deploy(ONE)

    async def main() -> None:
        async with AsyncClient(dsn) as aclient:
            run_id = await aclient.start_flow("one")
            for _ in range(5):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(aclient.wait(run_id), 0.02)
            assert (await aclient.status(run_id))["status"] == "started"

    run(main())
