"""quantumflow start, status, list, cancel, pause, resume, retry, delete, prune, failures."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from quantumflow_client import Client
from quantumflow_client.cli import _output
from support.command import DIAMOND, ONE_STEP, Command

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

Define = Callable[[dict[str, Any]], str]
Work = Callable[[], bool]


@pytest.fixture
def client(dsn: str) -> Iterator[Client]:
    """A client of the same database."""
    with Client(dsn) as client:
        yield client


def test_a_run_gets_what_it_was_started_with(
    quantumflow: Command, define: Define, connection: psycopg.Connection[Any]
) -> None:
    define(ONE_STEP)
    run_id = uuid.uuid4()
    started = quantumflow.json(
        *("start", "one", '{"amount": 42}', "--priority", 5, "--key", "k", "--run-id", run_id),
        *("--header", "traceparent=00-1=2", "--header", "who=me", "--version", 1),
        *("--start-at", "2030-01-31T09:00:00Z"),
    )
    assert started == {"run_id": str(run_id)}
    status = quantumflow.json("status", run_id)
    assert status["input"] == {"amount": 42}
    assert (status["priority"], status["idempotency_key"]) == (5, "k")
    assert status["headers"] == {"traceparent": "00-1=2", "who": "me"}
    (vt,) = connection.execute("select vt::text from pgmq.q_quantum_flow_queue").fetchone() or ("",)
    assert vt.startswith(("2030-01-31", "2030-01-30"))
    assert quantumflow("start", "one", "--key", "k").stdout == f"{run_id}\n", "the same run again"


def test_a_start_without_a_zone_is_in_that_of_the_shell(
    quantumflow: Command,
    define: Define,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    define(ONE_STEP)
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        quantumflow("start", "one", "--start-at", "2030-01-31T09:00")
    finally:
        monkeypatch.undo()
        time.tzset()
    found = connection.execute("select queued_at from quantumflow.step_tasks").fetchone()
    assert found == (datetime(2030, 1, 31, 14, tzinfo=timezone.utc),)


def test_an_input_may_come_from_elsewhere(
    quantumflow: Command, define: Define, tmp_path: Path
) -> None:
    define(ONE_STEP)
    (tmp_path / "in.json").write_text("[1, 2]")
    for argument, piped, expected in [
        ("-", '"piped"', "piped"),
        ("@in.json", None, [1, 2]),
        ("@-", '"also"', "also"),
        ("null", None, None),
    ]:
        run_id = quantumflow("start", "one", argument, input=piped).stdout.strip()
        assert quantumflow.json("status", run_id)["input"] == expected
    assert quantumflow.json("status", quantumflow.start("one"))["input"] == {}


def test_a_status_says_why_a_step_was_skipped(quantumflow: Command, define: Define) -> None:
    steps = [{"name": "a", "if": "$.run.n > 5"}, {"name": "b", "depends_on": ["a"]}]
    define({"slug": "skipping", "steps": steps})
    run = quantumflow("start", "skipping", '{"n": 3}').stdout.strip()
    shown = quantumflow("status", run).stdout.splitlines()
    assert any(
        line.endswith("its condition was false: strict $.run.n > 5; it saw $.run.n 3")
        for line in shown
    )
    assert any(line.endswith("too few of its dependencies completed") for line in shown)
    assert "its condition was false: strict $.run.n > 5; it saw" in quantumflow("watch", run).stdout


def test_a_status_says_what_a_step_still_waits_for(
    quantumflow: Command, define: Define, connection: psycopg.Connection[Any]
) -> None:
    places: list[dict[str, Any]] = [
        {"name": "skipped", "if": "1 == 2"},
        {"name": "done"},
        {"name": "wish"},
        {"name": "last", "depends_on": ["skipped", "done"], "join": "any"},
    ]
    places[-1]["prefer_after"] = ["wish"]
    run_id = quantumflow.start(define({"slug": "open", "steps": places}))
    assert "  last     created    waits for done, wish\n" in quantumflow("status", run_id).stdout
    connection.execute("select quantumflow.complete_task(%s, 'done')", [run_id])
    assert "  last     created    waits for wish\n" in quantumflow("status", run_id).stdout
    connection.execute("select quantumflow.pause_run(%s)", [run_id])
    connection.execute("select quantumflow.complete_task(%s, 'wish')", [run_id])
    assert "  last     created\n" in quantumflow("status", run_id).stdout


def test_a_status_in_text(quantumflow: Command, define: Define, work_once: Work) -> None:
    run_id = quantumflow.start(define(DIAMOND), '{"n": 1}', "--key", "k", "--priority", 3)
    work_once()
    work_once()
    said = quantumflow("status", run_id).stdout
    assert said.startswith(f"run       {run_id}\nworkflow  diamond, version 1\nstatus    started\n")
    assert "priority  3\n" in said
    assert "  ship      created    waits for pack\n" in said
    assert "  validate  completed  [####################] 1/1\n" in said
    while work_once():
        pass
    said = quantumflow("status", run_id).stdout
    assert said.endswith('input\n{\n  "n": 1\n}\noutput\n{\n  "ship": "ship"\n}\n')


def test_tasks_are_counted(
    quantumflow: Command, define: Define, connection: psycopg.Connection[Any]
) -> None:
    define({"slug": "m", "retry_delay": 0, "steps": [{"name": "each", "type": "map"}]})
    run_id = quantumflow.start("m", "[1, 2, 3, 4]")
    claim = "from quantumflow.claim_tasks(gen_random_uuid()) t"
    task = "t.run_id, t.step_slug, t.task_index"
    connection.execute(f"select quantumflow.complete_task({task}) {claim}")
    connection.execute(f"select quantumflow.fail_task({task}, 'no') {claim}")
    connection.execute(f"select {task} {claim}")
    line = "  each  started    [#####...............] 1/4, 1 running, 1 failed attempts\n"
    assert line in quantumflow("status", run_id).stdout


def test_waiting_ends_with_the_run(quantumflow: Command, define: Define, work_once: Work) -> None:
    define(ONE_STEP)
    words = ("start", "one", "--wait", "--key")

    run_id = quantumflow.start("one", "--key", "good")
    work_once()
    assert quantumflow.json(*words, "good") == {
        "run_id": run_id,
        "status": "completed",
        "output": {"only": "only"},
        "error_message": None,
    }
    assert quantumflow(*words, "good").stdout == f'{run_id}\n{{\n  "only": "only"\n}}\n'

    run_id = quantumflow.start("one", "--key", "bad")
    quantumflow("cancel", run_id, "--reason", "wrong input")
    said = quantumflow(*words, "bad", "--json", expect=1)
    assert json.loads(said.stdout)["status"] == "cancelled"
    assert json.loads(said.stdout)["error_message"] == "wrong input"
    assert "wrong input" in json.loads(said.stderr)["error"]["message"]

    run_id = quantumflow.start("one", "--key", "slow")
    said = quantumflow(*words, "slow", "--timeout", 0.02, "--json", expect=124)
    assert json.loads(said.stdout)["status"] == "started"
    assert quantumflow(*words, "slow", "--timeout", 0, expect=124).stdout == f"{run_id}\n"


def test_a_failed_run_is_not_well(
    quantumflow: Command, define: Define, connection: psycopg.Connection[Any]
) -> None:
    run_id = quantumflow.start(define(ONE_STEP), "--key", "k")
    connection.execute(
        "select quantumflow.fail_task(%s, 'only', 0, 'oh', retryable => false)", [run_id]
    )
    assert quantumflow.json("status", run_id, expect=1)["status"] == "failed"
    assert "error     " in quantumflow("status", run_id, expect=1).stdout
    assert quantumflow.json("start", "one", "--key", "k", "--wait", expect=1)["status"] == "failed"
    quantumflow("watch", run_id, expect=1)


def test_runs_are_listed(quantumflow: Command, define: Define) -> None:
    define(ONE_STEP)
    define(DIAMOND)
    runs = [quantumflow.start(slug) for slug in ("one", "diamond", "one")]
    quantumflow("cancel", runs[0])

    def listed(*words: object) -> list[str]:
        return [run["run_id"] for run in quantumflow.lines("list", *words)]

    assert listed() == runs[::-1]
    assert listed("--workflow", "one") == [runs[2], runs[0]]
    assert listed("--status", "cancelled") == [runs[0]]
    assert listed("--limit", 1) == [runs[2]]
    assert listed("--limit", 1, "--before", runs[2]) == [runs[1]]
    assert listed("--since", "1h", "--error", "NO NEED") == listed("--input", "[7]") == []
    assert listed("--since", "2h", "--until", "1h") == []
    assert listed("--since", "1h", "--version", 1) == runs[::-1]
    assert "--before" in quantumflow("list", "--limit", 1).stderr
    quantumflow("list", "--since", "yesterday", expect=2)
    (shown,) = quantumflow.lines("list", "--status", "cancelled")
    assert set(shown) == {
        *("run_id", "workflow_slug", "version", "status", "done_steps", "steps", "priority"),
        *("retries", "idempotency_key", "created_at", "started_at", "ended_at", "error_message"),
        *("gave_up", "parent", "started_by", "origin"),
    }
    head, *lines = quantumflow("list").stdout.splitlines()
    assert head.split()[:5] == ["run", "workflow", "version", "status", "steps"]
    assert [line.split()[:5] for line in lines][1] == [runs[1], "diamond", "1", "started", "0/4"]
    assert quantumflow("list", "--workflow", "nosuch").stdout == "There are no such runs.\n"


def test_a_run_is_cancelled(quantumflow: Command, define: Define) -> None:
    run_id = quantumflow.start(define(ONE_STEP))
    cancelled = {"run_id": run_id, "status": "cancelled", "reason": "enough"}
    assert quantumflow.json("cancel", run_id, "--reason", "enough") == cancelled
    assert quantumflow.json("status", run_id, expect=1)["error_message"] == "enough"
    assert quantumflow("cancel", run_id).stdout == f"{run_id} is cancelled.\n"


def test_colours_are_for_those_who_want_them(
    quantumflow: Command, define: Define, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = quantumflow.start(define(ONE_STEP))
    coloured = "\x1b[36mstarted\x1b[0m"
    assert "\x1b" not in quantumflow("status", run_id).stdout, "not a terminal"
    assert coloured in quantumflow("status", run_id, color=True).stdout
    assert coloured in quantumflow("list", color=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in quantumflow("status", run_id, color=True).stdout
    assert "\x1b" not in quantumflow("list", color=True).stdout


@pytest.mark.parametrize("fraction", ["", ".5", ".63517", ".123456"])
def test_a_moment_may_have_any_fraction(fraction: str) -> None:
    shown = _output.when(f"2026-07-01T12:00:00{fraction}+00:00")
    assert datetime.strptime(shown, "%Y-%m-%d %H:%M:%S").astimezone() == datetime(
        2026, 7, 1, 12, tzinfo=timezone.utc
    )


def test_a_run_is_paused_and_resumed(quantumflow: Command, define: Define, work_once: Work) -> None:
    run_id = quantumflow.start(define(ONE_STEP))
    assert quantumflow.json("pause", run_id) == {"run_id": run_id, "status": "paused"}
    assert not work_once()
    assert quantumflow("resume", run_id).stdout == f"{run_id} is started.\n"
    assert work_once()
    assert quantumflow.error("pause", run_id, expect=4)["code"] == "QF207"


def test_a_flow_is_paused_and_resumed(
    quantumflow: Command, define: Define, work_once: Work
) -> None:
    run_id = quantumflow.start(define(ONE_STEP))
    assert quantumflow("pauses").stdout == "Nothing is paused, but runs may be.\n"
    said = quantumflow("pause", "--flow", "one", "--reason", "wrong prices").stdout
    assert said.startswith("workflow one is paused since ")
    assert not work_once()
    (paused,) = quantumflow.lines("pauses")
    assert (paused["kind"], paused["name"], paused["reason"]) == ("workflow", "one", "wrong prices")
    assert "wrong prices" in quantumflow("pauses").stdout
    assert quantumflow("run-now", run_id, "only").stdout == "only was due already.\n"
    assert quantumflow("resume", "--flow", "one").stdout == (
        "workflow one is not paused; 1 of its tasks waited.\n"
    )
    assert work_once()
    assert quantumflow("run-now", run_id, "only", expect=1).stdout.startswith("only has ended")
    for given in ([], [run_id, "--queue", "quantum_flow_queue"]):
        assert "say one of RUN" in quantumflow("pause", *given, expect=2).stderr
    assert quantumflow.json("pause", "--command", "only")["kind"] == "command"
    assert quantumflow.json("resume", "--command", "only")["tasks"] == 0


def test_a_run_is_retried(
    quantumflow: Command, define: Define, work_once: Work, connection: psycopg.Connection[Any]
) -> None:
    run_id = quantumflow.start(define(DIAMOND))
    assert quantumflow.error("retry", run_id, expect=4)["code"] == "QF213"
    work_once()
    connection.execute(
        "select quantumflow.fail_task(%s, 'charge', 0, 'oh', retryable => false)", [run_id]
    )
    failed = [
        {"step_slug": "ship", "status": "cancelled", "tasks_again": 1, "tasks_kept": 0},
        {"step_slug": "charge", "status": "failed", "tasks_again": 1, "tasks_kept": 0},
        {"step_slug": "pack", "status": "cancelled", "tasks_again": 1, "tasks_kept": 0},
    ]
    assert quantumflow.lines("retry", run_id, "--preview") == failed
    head, *lines = quantumflow("retry", run_id, "--from", "validate", "--preview").stdout.split(
        "\n"
    )
    assert head.split() == ["step", "status", "tasks", "again", "tasks", "kept"]
    assert lines[1].split() == ["validate", "completed", "1", "0"]
    assert quantumflow.json("retry", run_id) == {"run_id": run_id, "status": "started"}
    while work_once():
        pass
    assert quantumflow.json("status", run_id)["output"] == {"ship": "ship"}
    assert quantumflow.error("retry", run_id, expect=4)["code"] == "QF214"
    assert quantumflow.error("retry", run_id, "--from", "no", expect=3)["code"] == "QF215"


def test_a_loop_goes_on_and_is_retried_from_an_iteration(
    quantumflow: Command, define: Define, work_once: Work
) -> None:
    loop = {"name": "again", "type": "loop", "until": "$iteration == 2", "max_iterations": 4}
    run_id = quantumflow.start(define({"slug": "looping", "steps": [loop]}))
    assert work_once()
    shown = quantumflow("status", run_id).stdout
    assert "again  started    [##########..........] iteration 2 of 4 at most" in shown
    while work_once():
        pass
    assert "again  completed  3 iterations" in quantumflow("status", run_id).stdout
    words = ("retry", run_id, "--from", "again", "--iteration")
    assert quantumflow.lines(*words, "2", "--preview")[0]["tasks_kept"] == 2
    assert quantumflow.error(*words, "3", expect=4)["code"] == "QF221"
    quantumflow(*words, "2")
    assert "iteration 3 of 4 at most" in quantumflow("status", run_id).stdout


def test_a_run_is_deleted(quantumflow: Command, define: Define, work_once: Work) -> None:
    run_id = quantumflow.start(define(ONE_STEP))
    assert quantumflow.error("delete", run_id, expect=4)["code"] == "QF213"
    work_once()
    assert quantumflow("delete", run_id).stdout == f"{run_id} is deleted.\n"
    assert quantumflow.error("delete", run_id, expect=3)["code"] == "QF201"


def test_old_runs_are_pruned(quantumflow: Command, define: Define, work_once: Work) -> None:
    define(ONE_STEP)
    runs = [quantumflow.start("one") for _ in range(6)]
    for _ in range(5):
        work_once()
    assert quantumflow.json("prune", "1 day") == {"deleted": 0}
    assert quantumflow("prune", "0 s", "--batch", 2).stdout == "5 runs are deleted.\n"
    assert [run["run_id"] for run in quantumflow.lines("list")] == runs[5:]
    assert quantumflow.error("prune", "often", expect=4)["code"] == "22007"
    assert quantumflow.error("prune", "1 day", "--batch", 0, expect=4)["code"] == "QF216"


def test_failed_attempts_are_listed(
    quantumflow: Command, define: Define, client: Client, connection: psycopg.Connection[Any]
) -> None:
    def fail() -> None:
        raise ValueError("no\x1b[2J good")

    assert quantumflow("failures").stdout == "No attempt has failed.\n"
    run_id = quantumflow.start(define(ONE_STEP | {"retry_delay": 0, "max_attempts": 2}))
    client.command("only")(fail)
    while client.status(UUID(run_id))["status"] == "started":
        client.poll_and_run(until_idle=True, name="mine")

    last, first = quantumflow.lines("failures", run_id)
    assert (last["attempt"], first["attempt"]) == (2, 1)
    assert (last["kind"], last["worker"]) == ("error", "mine")
    assert last["error_details"]["type"] == "ValueError"
    assert 'raise ValueError("no' in last["error_details"]["traceback"]
    assert quantumflow.lines("failures", "--limit", 1) == [last]
    head, line, _ = quantumflow("failures").stdout.splitlines()
    assert head.split() == ["ended", "task", "attempt", "kind", "worker", "error"]
    assert line.split()[2:6] == [f"{run_id}/only/0", "2", "error", "mine"]
    said = quantumflow("failures", run_id, "--traceback", color=True).stdout
    assert said.count("Traceback (most recent call last):") == 2
    assert "\x1b[2J" not in said

    connection.execute("update quantumflow.task_failures set error_details = '[1]'")
    assert "\n[\n  1\n]\n" in quantumflow("failures", "--traceback").stdout
    connection.execute("update quantumflow.task_failures set error_details = null")
    assert quantumflow("failures", "--traceback").stdout.count("ValueError") == 2


def test_many_runs_are_steered(quantumflow: Command, define: Define) -> None:
    slug = define(ONE_STEP)
    for _ in range(3):
        quantumflow.start(slug)
    (count,) = quantumflow.lines("cancel", "--workflow", slug, "--status", "started")
    assert count == {"workflow": "one", "status": "started", "error": None, "runs": 3}
    assert "say --yes" in quantumflow("pause", "--workflow", slug).stdout
    assert quantumflow("pause", "--workflow", slug, "--yes").stdout == "3 runs are paused.\n"
    assert quantumflow.json("resume", "--all", "--yes") == {"resumed": 3, "refused": 0}
    said = quantumflow("cancel", "--since", "2020-01-01", "--yes", "--reason", "enough").stdout
    assert said == "3 runs are cancelled.\n"
    assert quantumflow.json("retry", "--error", "enough", "--yes") == {"retried": 3, "refused": 0}
    assert quantumflow("delete", "--all").stdout == "There are no such runs.\n"
    assert "say one RUN" in quantumflow("cancel", expect=2).stderr
    assert quantumflow.error("cancel", "--status", "odd", expect=4)["code"] == "QF212"
