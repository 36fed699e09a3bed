"""quantumflow schedule."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from support.command import ONE_STEP, Command

if TYPE_CHECKING:
    import psycopg

Define = Callable[[dict[str, Any]], str]


def test_a_schedule_from_its_beginning_to_its_end(
    quantumflow: Command, define: Define, connection: psycopg.Connection[Any]
) -> None:
    define(ONE_STEP)
    assert quantumflow("schedule", "list").stdout == "There are no schedules.\n"
    added = quantumflow.json(
        *("schedule", "add", "nightly", "one", "30 2 * * *", '{"x": 1}', "--zone"),
        *("Europe/Berlin", "--overlap", "allow", "--catch-up", 2, "--jitter", 90, "--priority", 5),
    )
    row = connection.execute(
        "select input, time_zone, overlap, catch_up, extract(epoch from jitter)::int, priority, "
        "next_at from quantumflow.schedules"
    ).fetchone()
    assert row is not None
    assert row[:-1] == ({"x": 1}, "Europe/Berlin", "allow", 2, 90, 5)
    assert added == {"schedule_slug": "nightly", "next_at": row[-1].isoformat()}

    (listed,) = quantumflow.lines("schedule", "list", "--workflow", "one")
    assert (listed["schedule_slug"], listed["missed"], listed["problem"]) == ("nightly", 0, None)
    assert quantumflow.lines("schedule", "list", "--workflow", "two") == []
    head, line = quantumflow("schedule", "list").stdout.splitlines()
    assert head.split() == [
        *("schedule", "workflow", "cron", "zone", "next", "last", "status", "missed", "skipped"),
        "problem",
    ]
    assert line.startswith("nightly   one       30 2 * * *  Europe/Berlin  ")

    said = quantumflow("schedule", "pause", "nightly", "--reason", "month-end").stdout
    assert said.startswith("It is paused since ")
    assert "  paused  " in quantumflow("schedule", "list").stdout
    assert quantumflow("schedule", "resume", "nightly").stdout.startswith("It starts at ")
    assert quantumflow("schedule", "remove", "nightly").stdout == "It is removed.\n"
    assert quantumflow.lines("schedule", "list") == []
    acts = connection.execute("select what, reason from quantumflow.audit_log order by entry_id")
    assert acts.fetchall()[-4:] == [
        ("schedule_flow", None),
        ("pause_schedule", "month-end"),
        ("resume_schedule", None),
        ("unschedule_flow", None),
    ]


def test_the_next_times_of_a_cron_text(quantumflow: Command) -> None:
    options = ("--zone", "Europe/Berlin", "--count", 2, "--after", "2026-03-28T12:00Z")
    times = [
        "2026-03-29T01:00:00+00:00",
        "2026-03-30T00:30:00+00:00",
    ]
    found = quantumflow("schedule", "next", "30 2 * * *", *options, "--json").stdout
    assert [json.loads(line) for line in found.splitlines()] == times
    shown = quantumflow("schedule", "next", "30 2 * * *", *options).stdout.split()
    assert shown == ["at", "2026-03-29", "03:00:00+02:00", "2026-03-30", "02:30:00+02:00"]


def test_what_is_refused(quantumflow: Command, define: Define) -> None:
    define(ONE_STEP)
    assert quantumflow.error("schedule", "next", "@reboot", expect=4)["code"] == "QF220"
    add = ("schedule", "add", "s", "one", "@daily", "--zone", "CEST")
    assert quantumflow.error(*add, expect=4)["code"] == "QF220"
    for verb in ("pause", "resume", "remove"):
        assert quantumflow.error("schedule", verb, "s", expect=3)["code"] == "QF223"
    assert "Start workflows at certain times." in quantumflow("schedule").stdout
