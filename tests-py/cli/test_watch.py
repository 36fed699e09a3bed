"""quantumflow watch: to the end of a run, on a terminal and elsewhere."""

from __future__ import annotations

import os
import pty
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

import psycopg
import pytest

from quantumflow_client.cli import watch
from quantumflow_client.cli._command import App
from support.command import DIAMOND, ONE_STEP, Command

Define = Callable[[dict[str, Any]], str]
Work = Callable[[], bool]


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch, work_once: Work) -> list[float]:
    """Instead of sleeping, do a task; how long the sleeps would have been."""
    seconds_slept: list[float] = []

    def work(seconds: float) -> None:
        seconds_slept.append(seconds)
        assert work_once(), "it watches a run that does not move"

    monkeypatch.setattr(time, "sleep", work)
    return seconds_slept


def test_each_change_is_a_line(quantumflow: Command, define: Define, slept: list[float]) -> None:
    run_id = quantumflow.start(define(DIAMOND))
    lines = quantumflow("watch", run_id, "--interval", 7).stdout.splitlines()
    bar = "[####################] 1/1"
    assert lines[0] == f"{run_id}  diamond, version 1  started  0/4 steps"
    assert lines.index("  ship      created    waits for charge, pack") < 5
    assert lines[-2:] == [
        f"{run_id}  diamond, version 1  completed  4/4 steps",
        f"  ship      completed  {bar}",
    ]
    assert lines.count(f"  validate  completed  {bar}") == 1, "what did not change is not repeated"
    assert slept == [7.0] * 4


def test_a_server_that_is_away_for_a_while_is_waited_for(
    quantumflow: Command, define: Define, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = quantumflow.start(define(DIAMOND))
    ask, answers = App.run, iter([True, False, False])

    def run(self: App, call: Any) -> Any:
        if next(answers, True):
            return ask(self, call)
        raise psycopg.OperationalError("the server is away")

    monkeypatch.setattr(App, "run", run)
    watched = quantumflow("watch", run_id)
    assert watched.stderr == "The server is away, and waited for.\n"


def test_each_change_is_a_document(quantumflow: Command, define: Define) -> None:
    run_id = quantumflow.start(define(DIAMOND))
    seen = quantumflow.lines("watch", run_id)
    assert [status["remaining_steps"] for status in seen] == [4, 3, 2, 1, 0]
    assert seen[-1]["output"] == {"ship": "ship"}


def test_a_terminal_is_renewed_in_place(
    quantumflow: Command, define: Define, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_is_live", lambda: True)
    run_id = quantumflow.start(define(DIAMOND))
    pictures = quantumflow("watch", run_id).stdout.split("\x1b[5F\x1b[J")
    assert len(pictures) == 5
    assert [len(picture.splitlines()) for picture in pictures] == [5] * 5
    assert "4/4 steps" in pictures[-1]

    monkeypatch.setenv("LINES", "5")
    run_id = quantumflow.start("diamond")
    pictures = quantumflow("watch", run_id).stdout.split("\x1b[4F\x1b[J")
    assert len(pictures) == 5
    assert pictures[0].splitlines()[-1] == "  and 2 more"


def test_the_exit_code_is_the_runs(quantumflow: Command, define: Define) -> None:
    run_id = quantumflow.start(define(ONE_STEP))
    quantumflow("cancel", run_id, "--reason", "enough")
    assert quantumflow("watch", run_id, expect=1).stdout.endswith("enough\n")


def test_without_a_run_it_lists_those_under_way(quantumflow: Command, define: Define) -> None:
    assert quantumflow("watch").stdout == "No run is under way.\n"
    runs = [quantumflow.start(define(ONE_STEP)) for _ in range(3)]
    quantumflow("cancel", runs[1])
    assert [run["run_id"] for run in quantumflow.lines("watch")] == [runs[2], runs[0]]
    assert runs[0] in quantumflow("watch").stdout


@pytest.mark.parametrize(
    ("environment", "colours", "renews"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, True),
        ({"TERM": "dumb", "NO_COLOR": "1"}, False, False),
    ],
    ids=["terminal", "NO_COLOR", "dumb"],
)
def test_on_a_real_terminal(
    environment: dict[str, str],
    colours: bool,
    renews: bool,
    quantumflow: Command,
    define: Define,
    dsn: str,
    work_once: Work,
) -> None:
    run_id = quantumflow.start(define(ONE_STEP))
    ours, theirs = pty.openpty()
    program = Path(sys.executable).with_name("quantumflow")
    command: list[str | Path] = [program, "watch", run_id, "--interval", "0.05", "--dsn", dsn]
    with Popen(command, stdout=theirs, stderr=theirs, env=os.environ | environment) as process:
        os.close(theirs)
        try:
            said = b""
            while b"0/1 steps" not in said:
                said += os.read(ours, 10_000)
            work_once()
            while b"1/1 steps" not in said:
                said += os.read(ours, 10_000)
        except BaseException:
            process.kill()
            raise
    os.close(ours)
    assert process.returncode == 0
    assert (b"\x1b[32mcompleted\x1b[0m" in said) == colours
    assert (b"\x1b[2F\x1b[J" in said) == renews
    assert (b"\x1b" in said) == (colours or renews)
