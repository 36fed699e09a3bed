"""quantumflow why, timeline, critical-path, tasks, queues, workers, diff, size, prune --preview."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from quantumflow_client import Attempt
from quantumflow_client.cli._bars import bars
from support.command import DIAMOND, ONE_STEP, Command

if TYPE_CHECKING:
    import psycopg

Define = Callable[[dict[str, Any]], str]
Work = Callable[[], bool]

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def attempt(
    step: str, due: float, began: float | None, ended: float | None, **more: Any
) -> Attempt:
    times: dict[str, Any] = {
        "due_at": after(due),
        "began_at": None if began is None else after(began),
        "ended_at": None if ended is None else after(ended),
    }
    said: dict[str, Any] = {
        "outcome": "completed", "kind": None, "worker": "w", "error_message": None, **more,
    }  # fmt: skip
    return Attempt(step_slug=step, task_index=0, retries=0, attempt=1, **times, **said)


def test_bars_tell_waiting_working_and_losing_apart(monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "36")
    drawn = bars(
        [
            attempt("a", 0, 5, 10),
            attempt("longer", 10, 10, 15, outcome="failed", kind="lost"),
            attempt("longer", 15, 17.5, None, outcome="started"),
        ],
        NOON,
        after(20),
    )
    assert drawn[:2] == [
        f"a       {'.....######':<20}  5 s",
        f"longer  {'          #####x.###':<20}  7.5 s",
    ]
    assert drawn[2].endswith("20 s")


def test_bars_of_nothing(monkeypatch: Any) -> None:
    assert bars([], NOON, NOON) == ["Nothing of it was due yet."]


def test_why_names_the_command_that_nobody_has(quantumflow: Command, define: Define) -> None:
    assert quantumflow("why").stdout == "Nothing waits.\n"
    define(ONE_STEP)
    run_id = quantumflow("start", "one").stdout.strip()
    reason = json.loads(quantumflow("why", run_id, "--json").stdout)
    assert reason["reason"] == "no live worker serves its queue"
    assert reason["tasks"] == 1
    assert "no live worker serves its queue" in quantumflow("why", "--stuck").stdout
    quantumflow("why", uuid.uuid4(), expect=3)


def test_a_run_is_looked_at_from_all_sides(
    quantumflow: Command, define: Define, work_once: Work
) -> None:
    slug = define(DIAMOND)
    run_id = quantumflow("start", slug).stdout.strip()
    assert "due" in quantumflow("queues").stdout
    while work_once():
        pass

    timeline = quantumflow("timeline", run_id).stdout
    steps = ["validate", "charge", "pack", "ship"]
    assert all(f"\n{name}" in timeline for name in steps)
    events = quantumflow("timeline", run_id, "--events").stdout
    assert "run started" in events
    assert "run completed" in events
    path = quantumflow("critical-path", run_id).stdout.splitlines()
    assert path[0].split() == ["step", "ready", "waited", "worked", "share", "slack"]
    assert 2 <= len(path) - 1 <= len(steps)
    tasks = quantumflow("tasks", run_id).stdout
    assert all(f"{name}/0" in tasks for name in steps)
    assert len(quantumflow("tasks", run_id, steps[0]).stdout.splitlines()) == 2
    quantumflow("tasks", run_id, "nowhere", expect=3)
    assert quantumflow("queues").stdout == "Nothing waits or runs.\n"

    # By the beginning of its id, which tells when it was started.
    assert json.loads(quantumflow("status", run_id[:32], "--json").stdout)["run_id"] == run_id
    quantumflow("status", "0000", expect=3)
    quantumflow("status", "no id", expect=2)
    past = quantumflow("history", "--since", "1h").stdout
    assert "run completed" in past
    assert "step started" in quantumflow("history", "--run", run_id[:32]).stdout
    assert quantumflow("history", "--since", "2h", "--until", "1h").stdout == "Nothing happened.\n"
    assert "it is completed" in quantumflow("eta", run_id).stdout
    assert quantumflow("stats").stdout == "Nothing has ended in that time.\n"
    quantumflow("stats", "--since", "1 day", expect=2)
    assert "completed" in quantumflow("prune", "0 s", "--preview").stdout
    assert quantumflow("prune", "0 s", "--workflow", "other").stdout == "0 runs are deleted.\n"
    assert quantumflow("prune", "0 s", "--workflow", slug).stdout == "1 runs are deleted.\n"
    assert quantumflow("prune", "0 s", "--preview").stdout == "There are no such runs.\n"
    # What was counted stays.
    stats = quantumflow.lines("stats", "--workflow", slug, "--since", "1h")
    assert [(found["step_slug"], found["n"]) for found in stats] == [
        (None, 1),
        *((name, 1) for name in sorted(steps)),
    ]
    assert "worked" in quantumflow("stats").stdout


def test_workers_say_what_they_are(
    quantumflow: Command, connection: psycopg.Connection[Any]
) -> None:
    assert quantumflow("workers").stdout == "There are no such workers.\n"
    connection.execute("select quantumflow.setup()")
    connection.execute(
        "select quantumflow.register_worker(gen_random_uuid(), 'me', null, "
        "'{quantum_flow_queue}', slots => 4, running => 3)"
    )
    head, worker = quantumflow("workers").stdout.splitlines()
    assert head.split()[:3] == ["name", "state", "running"]
    assert worker.split()[:3] == ["me", "working", "3/4"]


def test_versions_are_compared(quantumflow: Command, define: Define) -> None:
    define(ONE_STEP)
    quantumflow("start", "one")
    define({**ONE_STEP, "timeout": 7})
    assert quantumflow("diff", "one", 1, 2).stdout.splitlines()[1].split() == [
        "timeout",
        "added",
        "7",
    ]
    assert quantumflow("diff", "one", 1, 1).stdout == "They are the same.\n"
    quantumflow("diff", "one", 1, 3, expect=3)


def test_sizes_are_told(quantumflow: Command) -> None:
    assert "workflow_runs" in quantumflow("size").stdout
