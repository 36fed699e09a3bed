"""quantumflow signal and waits, and how status and watch show what waits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    import psycopg
    import pytest

    from support.command import Command

Define = Callable[[dict[str, Any]], str]

FLOW = {
    "slug": "trip",
    "run_timeout": 86400,
    "steps": [
        {"name": "pause", "type": "sleep", "seconds": 3600},
        {"name": "approved", "type": "wait", "timeout": 7200},
        {"name": "paid", "type": "wait", "signals": ["paid", "refused"]},
    ],
}
A_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def test_a_signal_is_sent_to_a_run(quantumflow: Command, define: Define) -> None:
    run_id = quantumflow.start(define(FLOW), "--key", "t-1")
    sent = quantumflow("signal", run_id, "approved", '{"by": "ann"}').stdout
    assert sent == "approved is delivered: a step was waiting for it.\n"
    by_key = ("signal", "t-1", "later", "--workflow", "trip", "--key", "evt_1")
    assert quantumflow.json(*by_key) == {"run": "t-1", "signal": "later", "outcome": "kept"}
    assert quantumflow.json(*by_key)["outcome"] == "duplicate"
    assert quantumflow("signal", "t-2", "paid", "--workflow", "trip", expect=1).stdout == (
        "paid is not kept: there is no such run yet.\n"
    )
    assert quantumflow.json("signal", uuid4(), "paid", expect=1)["outcome"] == "no_run"
    quantumflow("cancel", run_id)
    assert quantumflow("signal", run_id, "paid", expect=1).stdout == (
        "paid comes too late: the run has ended.\n"
    )
    error = quantumflow("signal", "t-1", "paid", expect=2).stderr
    assert "'t-1' is no run's id; --workflow SLUG takes it as an idempotency key" in error
    assert "is not JSON" in quantumflow("signal", run_id, "paid", "{", expect=2).stderr


def test_what_waits_is_listed(quantumflow: Command, define: Define) -> None:
    assert quantumflow("waits").stdout == "Nothing waits for a signal.\n"
    run_id = quantumflow.start(define(FLOW), '{"to": "Oslo"}')
    heads, *rows = quantumflow("waits", "--workflow", "trip").stdout.splitlines()
    assert heads.split() == ["run", "workflow", "step", "signals", "since", "until", "key"]
    assert re.fullmatch(rf"{run_id}  trip +approved  approved +{A_TIME}  {A_TIME} *", rows[0])
    assert re.fullmatch(rf"{run_id}  trip +paid +paid, refused  {A_TIME} *", rows[1])
    shown = quantumflow.json("waits", "--signal", "refused", "--input")
    assert (shown["step_slug"], shown["input"]) == ("paid", {"run": {"to": "Oslo"}})
    assert '{"run": {"to": "Oslo"}}' in quantumflow("waits", "--input").stdout


def test_status_says_what_is_waited_for_and_until_when(
    quantumflow: Command, define: Define
) -> None:
    run_id = quantumflow.start(define(FLOW))
    lines = quantumflow("status", run_id).stdout.splitlines()
    (ends_by,) = [line for line in lines if line.startswith("ends by")]
    assert re.fullmatch(rf"ends by +{A_TIME}", ends_by)
    steps = lines[lines.index("") + 1 :][:3]
    assert re.fullmatch(rf"  pause     started    sleeps until {A_TIME}", steps[0])
    approved = rf"  approved  started    waits for the signal approved, until {A_TIME}"
    assert re.fullmatch(approved, steps[1])
    assert steps[2] == "  paid      started    waits for the signal paid or refused"
    quantumflow("signal", run_id, "approved")
    quantumflow("signal", run_id, "refused")
    steps = quantumflow("status", run_id).stdout.splitlines()
    assert "  approved  completed  [####################] 1/1" in steps


def test_watch_says_so_too(
    quantumflow: Command,
    define: Define,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = quantumflow.start(define(FLOW))
    monkeypatch.setattr(
        time, "sleep", lambda _: connection.execute("select quantumflow.cancel_run(%s)", [run_id])
    )
    lines = quantumflow("watch", run_id, expect=1).stdout.splitlines()
    assert "  paid      started    waits for the signal paid or refused" in lines
    assert any(re.fullmatch(rf"  pause     started    sleeps until {A_TIME}", x) for x in lines)
