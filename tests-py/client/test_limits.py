"""Limits, and runs that go on one at a time, by both clients and a worker."""

from __future__ import annotations

import asyncio

import pytest

from quantumflow_client import AsyncClient, BadArgument, Client, Flow, Limit
from quantumflow_client.errors import AnotherRunGoesOn, BadLimit, NoTurnKey

calls = Flow("calls", one_at_a_time={"key": "$.run.to", "when_busy": "refuse"})


@calls.step(limit={"name": "api", "key": "$.run.to"})
def call(run: dict[str, str]) -> str:
    return run["to"]


def test_a_client_sets_limits_and_a_worker_keeps_to_them(client: Client) -> None:
    client.deploy(calls)
    client.set_limit("api", 0)
    assert client.limits() == [Limit("api", None, 0, None, 0, 0)]
    some = [client.start_flow(calls, {"to": to}) for to in ("x", "y")]
    assert client.poll_and_run(until_idle=True) == 0
    assert [(limit.key, limit.waiting) for limit in client.limits()] == [('"x"', 1), ('"y"', 1)]
    assert {row.reason for row in client.why(some[0])} == {"waits for a limit"}
    with pytest.raises(AnotherRunGoesOn, match='workflow "calls" goes on'):
        client.start_flow(calls, {"to": "x"})
    with pytest.raises(NoTurnKey):
        client.start_flow(calls, {"of": "x"})

    client.set_limit("api", at_once=1, per_second=100)
    assert client.poll_and_run(until_idle=True) == 2
    assert [client.wait(run_id, timeout=30) for run_id in some] == [{"call": "x"}, {"call": "y"}]
    assert client.limits() == [Limit("api", None, 1, 100.0, 0, 0)]
    assert client.remove_limit("api")
    assert not client.remove_limit("api")
    with pytest.raises(BadLimit, match="limits nothing"):
        client.set_limit("api")
    with pytest.raises(BadArgument, match="at_once is"):
        client.set_limit("api", 1.5)  # type: ignore[arg-type]


def test_an_asynchronous_client_does_as_much(dsn: str) -> None:
    async def use() -> None:
        async with AsyncClient(dsn) as other:
            await other.set_limit("api", per_second=0.5)
            assert await other.limits() == [Limit("api", None, None, 0.5, 0, 0)]
            assert await other.remove_limit("api")

    asyncio.run(use())
