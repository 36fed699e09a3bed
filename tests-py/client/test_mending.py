"""check, repair, rebuild_queues, adopt: of both clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from quantumflow_client import AsyncClient, Client

if TYPE_CHECKING:
    import psycopg

ONE = {"slug": "one", "steps": [{"name": "a"}]}


def test_what_is_broken_is_found_and_mended(
    client: Client, connection: psycopg.Connection[Any]
) -> None:
    client.deploy(ONE)
    run_id = client.start_flow("one")
    assert client.check() == []
    assert client.repair() == []

    connection.execute("delete from pgmq.q_quantum_flow_queue")
    (problem,) = client.check(run_id)
    assert (problem.rule, problem.run_id, problem.remedy) == (2, run_id, "send it a new message")
    assert [repair.action for repair in client.repair()] == [problem.remedy]
    assert [repair.action for repair in client.repair(dry_run=False)] == [f"done: {problem.remedy}"]
    assert client.check() == []

    connection.execute("delete from pgmq.q_quantum_flow_queue")
    assert client.rebuild_queues() == {"quantum_flow_queue": 1}
    assert "/" in client.adopt()


def test_the_asynchronous_client_does_the_same(
    dsn: str, client: Client, connection: psycopg.Connection[Any]
) -> None:
    client.deploy(ONE)
    client.start_flow("one")
    connection.execute("delete from pgmq.q_quantum_flow_queue")

    async def main() -> None:
        async with AsyncClient(dsn) as aclient:
            assert await aclient.check() == client.check() != []
            assert await aclient.repair() == client.repair()
            await aclient.repair(dry_run=False)
            assert await aclient.check() == []
            assert await aclient.rebuild_queues() == {"quantum_flow_queue": 1}
            assert await aclient.adopt() == client.adopt()

    asyncio.run(main())
