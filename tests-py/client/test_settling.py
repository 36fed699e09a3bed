"""Workers and what waits: nobody else settles it here."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from support.waiting import wait_until

if TYPE_CHECKING:
    from quantumflow_client import Client

Connection = psycopg.Connection[Any]
Work = Callable[..., Any]

FLOW = {
    "slug": "w",
    "steps": [
        {"name": "nap", "type": "sleep", "seconds": 0.05},
        {"name": "ok", "type": "wait", "dependencies": ["nap"]},
        {"name": "y", "dependencies": ["ok"]},
        {"name": "z", "dependencies": ["y"]},
    ],
}


@pytest.fixture
def began(client: Client, connection: Connection) -> dict[tuple[str, int], float]:
    """When the handler of a step began, of the run with that input."""
    connection.execute("select quantumflow.define_flow(%s::jsonb)", (json.dumps(FLOW),))
    began: dict[tuple[str, int], float] = {}

    @client.command("y")
    def y(run: int) -> None:
        began["y", run] = time.perf_counter()

    @client.command("z")
    def z(run: int) -> None:
        began["z", run] = time.perf_counter()

    return began


def waits(connection: Connection) -> int:
    return len(connection.execute("select from quantumflow.list_waits()").fetchall())


def test_an_idle_worker_is_told_of_a_signal_and_goes_on(
    client: Client, connection: Connection, work: Work, began: dict[tuple[str, int], float]
) -> None:
    work()
    delays = []
    for n in range(5):
        run_id = client.start_flow("w", n)
        wait_until(lambda: waits(connection) == 1)
        sent_at = time.perf_counter()
        sent = connection.execute("select quantumflow.send_signal(%s, 'ok')", (run_id,))
        assert sent.fetchone() == ("delivered",)
        client.wait(run_id, timeout=30)
        delays.append(began["y", n] - sent_at)
    # One that nobody tells looks once a second, and settles every few.
    assert statistics.median(delays) < 0.5, delays
    assert connection.execute("select * from quantumflow.check_state()").fetchall() == []


def test_a_worker_that_ends_when_it_is_idle_settles_what_is_due(
    client: Client, connection: Connection, began: dict[tuple[str, int], float]
) -> None:
    run_id = client.start_flow("w", 1)
    wait_until(
        lambda: (
            connection.execute(
                "select from quantumflow.step_tasks where queued_at <= clock_timestamp()"
            ).fetchone()
            is not None
        )
    )
    connection.execute("select quantumflow.send_signal(%s, 'ok')", (run_id,))
    assert client.poll_and_run(until_idle=True) == 2
    assert client.status(run_id)["status"] == "completed"
