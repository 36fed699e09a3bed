"""Schedules, by both clients and a worker."""

from __future__ import annotations

import asyncio
from dataclasses import astuple
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from quantumflow_client import AsyncClient, BadArgument, Client, Context, Flow
from quantumflow_client.errors import BadSchedule, UnknownSchedule
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

Connection = psycopg.Connection[Any]

MARCH = datetime(2026, 3, 28, 12, tzinfo=timezone.utc)

report = Flow("report")
seen: list[dict[str, Any] | None] = []


@report.step
def only(ctx: Context) -> None:
    """Keep the headers of the run."""
    seen.append(ctx.headers)


def test_a_client_schedules_a_flow(client: Client) -> None:
    client.deploy(report)
    next_at = client.schedule(
        "nightly",
        report,
        "30 2 * * *",
        time_zone="Europe/Berlin",
        input={"x": 1},
        overlap="queue",
        catch_up=3,
        jitter=timedelta(seconds=30),
        priority=1,
    )
    (listed,) = client.schedules(report)
    times = ("30 2 * * *", "Europe/Berlin", next_at)
    did = (None, None, None, 0, None, None, 0)
    assert astuple(listed) == ("nightly", "report", *times, *did)
    assert next_at is not None
    paused_at = client.pause_schedule("nightly", "why")
    assert client.schedules()[0].paused_at == paused_at
    assert client.schedule("nightly", "report", "30 3 * * *") is None
    assert client.resume_schedule("nightly") == client.schedules()[0].next_at
    client.unschedule("nightly")
    assert client.schedules() == []
    with pytest.raises(UnknownSchedule, match='"nightly" does not exist'):
        client.unschedule("nightly")
    with pytest.raises(BadSchedule, match='a bad hour: "25"'):
        client.schedule("nightly", report, "0 25 * * *")
    with pytest.raises(BadArgument, match="jitter is 5"):
        client.schedule("nightly", report, "@daily", jitter=5)  # type: ignore[arg-type]


def test_an_asynchronous_client_does_as_much(dsn: str, client: Client) -> None:
    client.deploy(report)

    async def use() -> None:
        async with AsyncClient(dsn) as other:
            next_at = await other.schedule("s", report, "@daily")
            assert [s.next_at for s in await other.schedules(report)] == [next_at]
            await other.pause_schedule("s", "why")
            assert await other.resume_schedule("s") == next_at
            await other.unschedule("s")
            assert await other.schedules() == []
            times = await other.next_times("30 2 * * *", "Europe/Berlin", 2, after=MARCH)
            assert times == client.next_times("30 2 * * *", "Europe/Berlin", 2, after=MARCH)
            assert [time - MARCH for time in times] == [
                timedelta(hours=13),
                timedelta(hours=36, minutes=30),
            ]

    asyncio.run(use())


def test_an_idle_worker_starts_what_comes_next(
    client: Client, connection: Connection, work: Callable[..., Any]
) -> None:
    client.deploy(report)
    client.schedule("often", report, "* * * * *")
    connection.execute(
        "update quantumflow.schedules set next_at = clock_timestamp() + interval '2 s'"
    )
    work()
    wait_until(lambda: seen)
    (headers,) = seen
    assert headers is not None
    assert headers["schedule"] == "often"
    # It has slept until then: neither a sweep nor a look every few seconds is what found it.
    late = connection.execute(
        "select extract(epoch from r.created_at - s.created_at)::float "
        "from quantumflow.workflow_runs r, quantumflow.schedules s"
    ).fetchone()
    assert late is not None
    assert 2 <= late[0] < 4
    assert client.schedules()[0].last_run_id is not None
