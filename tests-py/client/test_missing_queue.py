"""A worker whose queue is not there: it waits for it, unless it is to end by itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from quantumflow_client import Client, Flow
from quantumflow_client.errors import UnknownQueue
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

Connection = psycopg.Connection[Any]

WAITS = 'the worker waits for a queue: queue "later" does not exist'
FOUND = "every queue of the worker is there now"


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "quantumflow_client")


@pytest.fixture
def flow(client: Client) -> Flow:
    """A flow with a queue of its own, whose handler the client has."""
    flow = Flow("one", queue="later")
    flow.step("a")(lambda: 1)
    client.register(flow)
    return flow


def registered(connection: Connection) -> list[Any]:
    found = connection.execute("select queues from quantumflow.workers where stopped_at is null")
    return [queues for (queues,) in found]


def test_a_worker_may_be_there_before_the_first_flow(
    client: Client,
    flow: Flow,
    work: Callable[..., Any],
    connection: Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = work(listen=False)
    wait_until(lambda: WAITS in caplog.text)
    assert registered(connection) == []
    client.deploy(flow)
    assert client.wait(client.start_flow("one"), timeout=30) == {"a": 1}
    wait_until(lambda: registered(connection) == [["later"]], what="it registers")
    # And again, whenever it goes.
    connection.execute("select pgmq.drop_queue('later')")
    wait_until(lambda: caplog.text.count(WAITS) == 2)
    connection.execute("select quantumflow.setup()")
    assert client.wait(client.start_flow("one"), timeout=30) == {"a": 1}
    wait_until(lambda: caplog.text.count(FOUND) == 2)
    worker.stop()
    assert caplog.text.count("waits for a queue") == 2


def test_what_is_missing_of_several_queues_is_said_and_the_others_are_served(
    client: Client,
    flow: Flow,
    work: Callable[..., Any],
    connection: Connection,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quantumflow_client._worker.core.REGISTER_EVERY", 0.05)
    usual = Flow("usual")
    usual.step("a")(lambda: 2)
    client.deploy(usual)
    work()
    wait_until(lambda: WAITS in caplog.text)
    assert client.wait(client.start_flow("usual"), timeout=30) == {"a": 2}
    wait_until(
        lambda: registered(connection) == [["quantum_flow_queue"]],
        what="it registers for the queue that is there, lest doctor() says that nobody serves it",
    )
    client.deploy(flow)
    wait_until(lambda: [len(queues) for queues in registered(connection)] == [2])
    assert client.wait(client.start_flow("one"), timeout=30) == {"a": 1}
    assert caplog.text.count("waits for a queue") == 1


@pytest.mark.parametrize("how", ["once", "until_idle"])
def test_one_that_ends_by_itself_says_that_its_queue_is_missing(
    client: Client, flow: Flow, how: str
) -> None:
    with pytest.raises(UnknownQueue, match="later"):
        client.poll_and_run(**{how: True})  # type: ignore[arg-type]


def test_one_that_ends_when_it_is_idle_waits_for_no_queue_that_goes(
    client: Client, flow: Flow, connection: Connection
) -> None:
    @client.command("drops")
    def drops() -> None:
        connection.execute("select pgmq.drop_queue('later')")

    client.deploy(flow)
    client.deploy({"slug": "drops", "queue": "later", "steps": [{"name": "drops"}]})
    client.start_flow("drops")
    with pytest.raises(UnknownQueue, match="later"):
        client.poll_and_run(until_idle=True, queues=["later"])
