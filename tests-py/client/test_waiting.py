"""Waiting for a run, without a clock or a database."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from quantumflow_client import RunCancelled, RunFailed, WaitTimeout
from quantumflow_client._waiting import Ask, Sleep, until_ended

RUN = UUID(int=1)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def drive(answers: list[Any], timeout: float | None, cost: float = 0) -> Any:
    """Answer with each status in turn, the last one for ever; returns the output and the pauses."""
    clock = Clock()
    waiting = until_ended(RUN, timeout, clock)
    pauses: list[float] = []
    answer: Any = None
    while True:
        try:
            step = waiting.send(answer)
        except StopIteration as stop:
            return stop.value, pauses
        answer = None
        if isinstance(step, Ask):
            assert step.within is None or step.within <= (timeout or 0)
            clock.now += cost
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        else:
            pauses.append(step.seconds)
            clock.now += step.seconds


STARTED = {"status": "started", "output": None, "error_message": None}


def test_the_output_of_a_completed_run_is_returned() -> None:
    output, pauses = drive([STARTED, STARTED, {"status": "completed", "output": {"a": 1}}], None)
    assert output == {"a": 1}
    assert len(pauses) == 2


def test_a_failed_run_raises_with_its_reason() -> None:
    with pytest.raises(RunFailed, match="no money") as caught:
        drive([{"status": "failed", "error_message": "no money"}], None)
    assert (caught.value.run_id, caught.value.error_message) == (RUN, "no money")


def test_a_cancelled_run_raises_with_its_reason() -> None:
    with pytest.raises(RunCancelled, match="changed my mind"):
        drive([{"status": "cancelled", "error_message": "changed my mind"}], None)


def test_a_run_that_takes_too_long_raises_a_timeout_and_says_how_it_was() -> None:
    with pytest.raises(WaitTimeout) as caught:
        drive([STARTED | {"status": "paused"}], 3)
    assert caught.value.status == "paused"
    assert isinstance(caught.value, TimeoutError)


def test_no_time_at_all_still_looks_once() -> None:
    assert drive([{"status": "completed", "output": 1}], 0)[0] == 1


def test_a_server_may_be_silent_for_the_time_that_is_left_or_a_second() -> None:
    looks = [next(until_ended(RUN, timeout, Clock())) for timeout in (2, 0.1, None)]
    assert [look.patience for look in looks if isinstance(look, Ask)] == [2, 1, None]


def test_pauses_grow_to_a_limit() -> None:
    _, pauses = drive([STARTED] * 30 + [{"status": "completed", "output": 1}], None)
    assert pauses[0] == pytest.approx(0.01)
    assert pauses == sorted(pauses)
    assert max(pauses) == 0.5


def test_pauses_are_long_when_a_look_takes_long() -> None:
    _, pauses = drive([STARTED, {"status": "completed", "output": 1}], None, cost=0.2)
    assert pauses == [pytest.approx(2)]


def told(answers: list[Any]) -> tuple[list[str], list[Sleep]]:
    """Wait where ends are heard of from the first long pause on; what is asked, and the pauses."""
    clock = Clock()
    waiting = until_ended(RUN, None, clock)
    asked: list[str] = []
    sleeps: list[Sleep] = []
    answer: Any = None
    while True:
        try:
            step = waiting.send(answer)
        except StopIteration:
            return asked, sleeps
        if isinstance(step, Sleep):
            sleeps.append(step)
            clock.now += step.seconds
            answer = step.is_long
        else:
            asked.append("announce" if step.may_be_refused else "look")
            answer = answers.pop(0)


def test_who_waits_for_long_asks_to_be_told_and_looks_seldom() -> None:
    done = {"status": "completed", "output": 1}
    asked, sleeps = told([*[STARTED] * 9, "started", *[STARTED] * 30, done])
    assert asked == [*["look"] * 9, "announce", *["look"] * 31]
    assert [sleep.is_long for sleep in sleeps] == [False] * 8 + [True] * 32
    assert max(sleep.seconds for sleep in sleeps) == 5


def test_one_that_has_ended_when_it_asks_to_be_told_is_looked_at() -> None:
    asked, _ = told([*[STARTED] * 9, "completed", {"status": "completed", "output": 1}])
    assert asked[-2:] == ["announce", "look"]


def test_who_may_not_ask_to_be_told_looks_often() -> None:
    refused = PermissionError("not for you")
    asked, sleeps = told(
        [*[STARTED] * 9, refused, *[STARTED] * 30, {"status": "completed", "output": 1}]
    )
    assert asked == [*["look"] * 9, "announce", *["look"] * 31]
    assert max(sleep.seconds for sleep in sleeps) == 0.5


def test_the_last_pause_ends_with_the_timeout() -> None:
    with pytest.raises(WaitTimeout):
        drive([STARTED], 0.025)


def test_a_look_that_fails_for_now_is_made_again() -> None:
    away = ConnectionError("the server is away\nfor a while")
    output, pauses = drive(
        [STARTED, *[away] * 6, STARTED, {"status": "completed", "output": 1}], None
    )
    assert output == 1
    assert pauses[1:7] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1, 1])
    assert pauses[7] < 0.1


def test_a_server_that_stays_away_is_said_when_the_time_is_over() -> None:
    away = ConnectionError("the server is away\nfor long")
    with pytest.raises(WaitTimeout) as caught:
        drive([STARTED, away], 3)
    assert caught.value.status == "started"
    assert caught.value.detail == "The last look at it failed: the server is away"
    assert caught.value.__cause__ is away
