"""Pausing, resuming, retrying, deleting runs: the same verbs of both clients."""

from __future__ import annotations

import asyncio
import inspect
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from quantumflow_client import AsyncClient, Client, Context
from quantumflow_client._sql.runs import FailedAttempt
from quantumflow_client._sql.steering import RetriedStep
from quantumflow_client.errors import (
    BadPageSize,
    BadPrune,
    NothingToRetry,
    RunHasEnded,
    RunNotEnded,
    StepNotInRun,
    UnknownRun,
)
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

_TWO = {
    "slug": "two",
    "max_attempts": 1,
    "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}],
}


class Both:
    """The methods of either client, as of one that is not asynchronous."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            answer = getattr(self._client, name)(*arguments, **options)
            return self._loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

        return call


@pytest.fixture(params=["sync", "async"])
def both(request: pytest.FixtureRequest, client: Client, dsn: str) -> Iterator[Both]:
    both = Both(client if request.param == "sync" else AsyncClient(dsn))
    yield both
    if request.param == "async":
        both.close()
    both._loop.close()


def test_both_clients_have_the_same_verbs() -> None:
    def verbs(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind, inspect.isfunction)}

    of_a_worker = {
        *("command", "around", "resource", "register"),
        *("poll_and_run", "stop", "with_source"),
        *("listen", "unlisten"),  # on a thread
        *("decomposer", "deploy_decomposers"),
        *("compose_from_goal", "compose_from_task_graph", "compose_multiple_workflows"),
    }
    hidden = {name for name in verbs(Client) | verbs(AsyncClient) if name.startswith("_")}
    assert verbs(Client) - of_a_worker - hidden == verbs(AsyncClient) - hidden


def test_a_pause_disturbs_no_handler(
    client: Client, work: Callable[..., Any], connection: psycopg.Connection[Any]
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    @client.command("a")
    def a(ctx: Context) -> bool:
        begun.set()
        may_end.wait(30)
        return ctx.heartbeat()

    client.command("b")(lambda a: a)
    client.deploy(_TWO)
    run_id = client.start_flow("two")
    worker = work(lease=timedelta(seconds=1))
    assert begun.wait(30)
    assert client.pause(run_id) == "paused"

    def expiry() -> Any:
        row = connection.execute("select vt from pgmq.q_quantum_flow_queue").fetchone()
        assert row is not None
        return row[0]

    paused_with = expiry()
    wait_until(lambda: expiry() > paused_with + timedelta(seconds=1), what="renewals")
    may_end.set()
    wait_until(lambda: client.status(run_id)["steps"][0]["status"] == "completed")
    assert client.status(run_id)["steps"][1]["status"] == "created"
    assert client.status(run_id)["status"] == "paused"
    client.resume(run_id)
    assert client.wait(run_id, timeout=30) == {"b": True}
    worker.stop()


def test_a_run_goes_through_its_life(both: Both, client: Client) -> None:
    broken = [True]

    @client.command("a")
    def a() -> int:
        return 1

    @client.command("b")
    def b(a: int) -> int:
        if broken:
            raise ValueError("broken")
        return a + 1

    client.deploy(_TWO)
    run_id = client.start_flow("two")

    assert both.pause(run_id) == both.pause(run_id) == "paused"
    assert client.poll_and_run(until_idle=True) == 0
    assert both.resume(run_id) == both.resume(run_id) == "started"
    with pytest.raises(RunNotEnded):
        both.delete(run_id)
    assert client.poll_and_run(until_idle=True, name="mine") == 2
    assert client.status(run_id)["status"] == "failed"
    with pytest.raises(RunHasEnded):
        both.resume(run_id)

    (failed,) = both.failures(run_id)
    assert both.failures() == [failed]
    assert isinstance(failed, FailedAttempt)
    assert (failed.step_slug, failed.attempt, failed.kind, failed.worker) == (
        "b",
        1,
        "error",
        "mine",
    )
    assert failed.error_message == "ValueError: broken"
    assert 'raise ValueError("broken")' in failed.error_details["traceback"]

    broken.clear()
    assert both.retry_preview(run_id) == [RetriedStep("b", "failed", 1, 0)]
    assert [step.step_slug for step in both.retry_preview(run_id, "a")] == ["a", "b"]
    assert both.retry(run_id) == "started"
    assert client.poll_and_run(until_idle=True) == 1
    assert client.wait(run_id) == {"b": 2}
    with pytest.raises(NothingToRetry):
        both.retry(run_id)
    with pytest.raises(StepNotInRun):
        both.retry(run_id, "nosuch")
    assert both.retry(run_id, from_step="a") == "started"
    assert client.poll_and_run(until_idle=True) == 2

    assert both.prune(timedelta(days=1)) == 0
    both.delete(run_id)
    with pytest.raises(UnknownRun):
        both.failures(run_id)
    client.start_flows("two", [{}] * 3)
    client.poll_and_run(until_idle=True)
    assert both.prune(timedelta(0), max_runs=2) == 2
    assert both.prune(timedelta(0), 2) == 1
    with pytest.raises(BadPrune):
        both.prune(timedelta(-1))
    with pytest.raises(BadPageSize):
        both.failures(max_failures=0)
