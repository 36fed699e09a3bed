"""Signals and waits by both clients: what is sent, what waits, and what becomes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from quantumflow_client import AsyncClient, Client, Flow, Signalled, UnsupportedValue
from quantumflow_client.errors import BadPageSize, UnknownWorkflow

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg


@dataclass
class Approval:
    by: str
    amount: Decimal


flow: Flow[Any, Any] = Flow("expense", run_timeout=timedelta(days=30))


@flow.step
def submit(run: dict[str, Any]) -> dict[str, Any]:
    return {"from": run["who"]}


approved = flow.wait_for("approved", payload=Approval, timeout=timedelta(days=3), after=[submit])
answer = flow.wait_for("answer", ["paid", "refused"], depends_on=[submit])


@flow.step
def end(approval: Approval = approved.output, how: Signalled = answer.output) -> list[Any]:
    return [approval.by, approval.amount + 1, how["signal"], how["payload"]]


def test_what_is_sent_is_read_as_the_handler_says(client: Client) -> None:
    client.deploy(flow)
    run_id = client.start_flow(flow, {"who": "ada"}, idempotency_key="e-1", headers={"a": 1})
    assert client.signal_by_key(flow, "e-1", "refused", key="evt") == "kept"
    assert client.signal_by_key("expense", "e-1", "refused", key="evt") == "duplicate"
    client.poll_and_run(until_idle=True)
    client.settle()

    (wait,) = client.waits(flow, with_input=True)
    assert (wait.run_id, wait.step_slug, wait.signals) == (run_id, "approved", ["approved"])
    assert (wait.idempotency_key, wait.headers) == ("e-1", {"a": 1})
    assert wait.input == {"run": {"who": "ada"}}, "what it only comes after is not given"
    assert wait.until is not None
    assert wait.until - wait.since == timedelta(days=3)
    assert client.waits(signal="other") == []
    assert client.waits("expense", "approved")[0].input is None
    step = client.status(run_id)["steps"][1]
    assert (step["step_slug"], step["signals"]) == ("approved", ["approved"])
    assert datetime.fromisoformat(str(step["until"])) == wait.until
    ends_by = client.status(run_id)["deadline"]
    assert datetime.fromisoformat(str(ends_by)) > datetime.now(timezone.utc) + timedelta(days=29)

    assert client.signal(run_id, "approved", Approval("bo", Decimal("1.5"))) == "delivered"
    client.poll_and_run(until_idle=True)
    assert client.wait(run_id, timeout=60) == {"end": ["bo", 2.5, "refused", None]}
    assert client.signal(run_id, "approved", Approval("cy", Decimal(2))) == "run_ended"
    assert client.status(run_id)["deadline"] is None


def test_a_signal_is_sent_in_a_transaction_of_yours(
    client: Client, connect: Callable[..., psycopg.Connection[Any]]
) -> None:
    client.deploy({"slug": "w", "steps": [{"name": "go", "type": "wait"}]})
    run_id = client.start_flow("w")
    connection = connect(autocommit=False)
    assert client.signal(run_id, "go", connection=connection) == "delivered"
    connection.rollback()
    assert client.status(run_id)["status"] == "started"
    assert client.signal(run_id, "go", connection=connection) == "delivered"
    connection.commit()
    client.settle()
    assert client.wait(run_id, timeout=60) == {"go": None}


def test_what_cannot_be_sent_is_refused(client: Client) -> None:
    client.deploy({"slug": "w", "steps": [{"name": "go", "type": "wait"}]})
    run_id = client.start_flow("w")
    assert client.signal(uuid4(), "go") == "no_run"
    assert client.signal_by_key("w", "nobody", "go") == "no_run"
    with pytest.raises(UnknownWorkflow):
        client.signal_by_key("nobody", "w", "go")
    with pytest.raises(UnsupportedValue, match="the payload"):
        client.signal(run_id, "go", object())
    with pytest.raises(BadPageSize):
        client.waits(max_runs=0)
    assert [wait.run_id for wait in client.waits()] == [run_id]


def test_the_asynchronous_client_does_the_same(client: Client, dsn: str) -> None:
    client.deploy(flow)

    async def main() -> None:
        async with AsyncClient(dsn) as aclient:
            run_id = await aclient.start_flow(flow, {"who": "ada"}, idempotency_key="e-1")
            assert await aclient.signal(run_id, "paid", {"id": 7}, key="k") == "kept"
            assert await aclient.signal_by_key(flow, "e-1", "paid", key="k") == "duplicate"
            client.poll_and_run(until_idle=True)
            await aclient.settle()
            (wait,) = await aclient.waits(flow, "approved", with_input=True)
            assert wait.run_id == run_id
            await aclient.signal(run_id, "approved", Approval("bo", Decimal(1)))
            client.poll_and_run(until_idle=True)
            assert await aclient.wait(run_id, timeout=60) == {"end": ["bo", 2, "paid", {"id": 7}]}

    asyncio.run(main())


def test_settle_says_what_is_due_next(client: Client) -> None:
    client.deploy({"slug": "s", "steps": [{"name": "a", "type": "sleep", "seconds": 3600}]})
    assert client.settle().next_due is None
    client.start_flow("s")
    settled = client.settle()
    assert settled.tasks == 0
    assert settled.due_in is not None
    assert 3500 < settled.due_in <= 3600
    assert settled.next_due is not None
    assert settled.next_due > datetime.now(timezone.utc) + timedelta(minutes=59)
