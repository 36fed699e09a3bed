"""Pauses of queues, flows and commands, and tasks that are run now, by both clients."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import psycopg
import pytest

from quantumflow_client import AsyncClient, Client, Flow
from quantumflow_client.errors import (
    SystemQueue,
    UnknownCommand,
    UnknownQueue,
    UnknownStep,
    UnknownWorkflow,
)

order = Flow("order")


@order.step
def charge() -> str:
    """Charge."""
    return "charged"


def test_what_is_paused_waits_for_its_resume(client: Client) -> None:
    client.deploy(order)
    run_id = client.start_flow(order)
    paused_at = client.pause_flow(order, "wrong prices")
    assert client.pause_command("order.charge") >= paused_at
    assert client.pause_queue("quantum_flow_queue") >= paused_at
    found = {(p.kind, p.name): p for p in client.pauses()}
    assert set(found) == {
        ("workflow", "order"),
        ("command", "order.charge"),
        ("queue", "quantum_flow_queue"),
    }
    assert found["workflow", "order"].reason == "wrong prices"
    assert [queue.paused_at for queue in client.queues()] == [
        found["command", "order.charge"].paused_at
    ]
    client.register(order)
    assert not client.poll_and_run(once=True)
    assert client.resume_queue("quantum_flow_queue") == 1
    assert client.resume_command("order.charge") == 1
    assert not client.poll_and_run(once=True)
    assert client.resume_flow(order) == 1
    assert client.poll_and_run(once=True)
    assert client.wait(run_id, 5) == {"charge": "charged"}
    assert client.pauses() == []


def test_what_is_not_there_cannot_be_paused(client: Client) -> None:
    for call, name, error in (
        (client.pause_queue, "nowhere", UnknownQueue),
        (client.pause_queue, "quantum_flow_system", SystemQueue),
        (client.pause_flow, "nothing", UnknownWorkflow),
        (client.resume_command, "nothing", UnknownCommand),
    ):
        with pytest.raises(error):
            call(name)


def test_an_asynchronous_client_does_as_much(dsn: str, client: Client) -> None:
    later = Flow("later")

    @later.step(start_delay=timedelta(hours=1))
    def charge() -> None:
        """Charge."""

    client.deploy(later)
    run_id = client.start_flow(later)

    async def use() -> None:
        async with AsyncClient(dsn) as other:
            await other.pause_queue("quantum_flow_queue")
            await other.pause_flow(later)
            await other.pause_command("later.charge")
            assert len(await other.pauses()) == 3
            assert await other.run_now(run_id, "charge") == "due"
            assert await other.run_now(run_id, "charge", 0) == "was_due"
            with pytest.raises(UnknownStep):
                await other.run_now(run_id, "charge", 1)
            assert await other.resume_flow(later) == 0
            assert await other.resume_command("later.charge") == 1
            assert await other.resume_queue("quantum_flow_queue") == 1

    asyncio.run(use())


def test_who_listens_is_told_of_an_end(dsn: str, client: Client) -> None:
    client.deploy(order)
    run_id = client.start_flow(order)
    with psycopg.connect(dsn, autocommit=True) as listener:
        listener.execute("listen quantumflow_events")
        assert client.announce_end(run_id) == "started"
        client.cancel(run_id)
        (told,) = listener.notifies(timeout=10, stop_after=1)
    assert json.loads(told.payload) == {"kind": "run_ended", "run_id": str(run_id)}
    assert client.announce_end(run_id) == "cancelled"
