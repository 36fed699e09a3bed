"""A map's outputs one by one, and runs that start together with keys, times and headers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from typing_extensions import assert_type

from quantumflow_client import AsyncClient, BadArgument, Client, Flow
from quantumflow_client.errors import BadPageSize, UnknownStep

flow = Flow("mapped", input=list[int])


@dataclass
class Price:
    of: int
    price: Decimal


@flow.map
def one(item: int, ctx: object) -> Price:
    if item == 3:
        raise ValueError(item)
    return Price(item, Decimal(item) / 8)


@flow.map(chunk_size=3)
async def some(items: list[int]) -> list[Price]:
    return [Price(item, Decimal(1)) for item in items]


def test_outputs_are_read_page_by_page(client: Client, dsn: str) -> None:
    client.deploy(flow)
    run_id = client.start_flow(flow, [*range(7)])
    client.poll_and_run(until_idle=True)
    found = list(client.outputs(run_id, one, page=2))
    assert_type(found, list[tuple[int, Price]])
    assert found == [(n, Price(n, Decimal(n) / 8)) for n in range(7) if n != 3]
    assert list(client.outputs(run_id, some, page=2)) == [
        (n, Price(n, Decimal(1))) for n in range(7)
    ]
    assert next(client.outputs(run_id, "one")) == (0, {"of": 0, "price": 0})
    with pytest.raises(UnknownStep):
        next(client.outputs(run_id, "other"))
    with pytest.raises(BadPageSize):
        next(client.outputs(run_id, one, page=0))
    with pytest.raises(BadArgument, match="is no step"):
        next(client.outputs(run_id, print))  # type: ignore[call-overload]

    async def read() -> list[tuple[int, Price]]:
        async with AsyncClient(dsn) as other:
            return [item async for item in other.outputs(run_id, some, page=3)]

    assert asyncio.run(read()) == list(client.outputs(run_id, some))


def test_runs_start_together_with_keys_times_and_headers(client: Client) -> None:
    client.deploy(flow)
    when = datetime(2199, 1, 1, tzinfo=timezone.utc)
    before = client.start_flow(flow, [], idempotency_key="b")
    runs = client.start_flows(
        flow,
        [[1], [2], [3]],
        idempotency_keys=["a", "b", None],
        start_at=[None, None, when],
        headers=[{"h": 1}, None, {}],
    )
    assert runs[1] == before
    states = [client.status(run) for run in runs]
    assert [state["input"] for state in states] == [[1], [], [3]]
    assert [state["headers"] for state in states] == [{"h": 1}, None, {}]
    assert str(states[2]["started_at"]).startswith("2199-01-01T00:00:00")
    with pytest.raises(BadArgument, match=r"start_at\[1\] is .* which has no time zone"):
        client.start_flows(flow, [[], []], start_at=[None, when.replace(tzinfo=None)])
    with pytest.raises(BadArgument, match="idempotency_keys is one str"):
        client.start_flows(flow, [[], []], idempotency_keys="ab")
