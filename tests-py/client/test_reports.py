"""Reports: what becomes of outputs and errors, and of a batch with something PostgreSQL refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psycopg
import pytest

from quantumflow_client import PermanentError, RetryAfter
from quantumflow_client._json import clean, decode, encode
from quantumflow_client._reports import completion_of, failure_of, refusal_of, send
from quantumflow_client._sql import Completion, Failure, TaskRef
from quantumflow_client.errors import UnsupportedValue

TASK = TaskRef(str(UUID(int=1)), "step", 0, 7)


def deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


class Nasty:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class NastyError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (math.nan, "Out of range float"),
        ([math.inf], "Out of range float"),
        (object(), "not JSON serializable"),
        ({"when": datetime(2026, 1, 1, tzinfo=timezone.utc)}, "datetime"),
        (circular(), "Circular"),
        (10**5000, "digit"),
        (deep(100_000), "nested too deep"),
        ({(1, 2): 3}, "keys must be"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_output_that_is_no_json_fails_its_task_for_good(value: object, problem: str) -> None:
    report = completion_of(TASK, value)
    assert isinstance(report, Failure)
    assert not report.retryable
    assert report.message.startswith("UnsupportedValue: the output cannot be stored as JSON: ")
    assert problem in report.message


def test_an_object_that_cannot_even_be_printed_fails_its_task() -> None:
    report = completion_of(TASK, Nasty())
    assert isinstance(report, Failure)
    assert not report.retryable


async def _coroutine() -> None: ...


def test_a_coroutine_as_output_is_explained() -> None:
    report = completion_of(TASK, _coroutine())
    assert isinstance(report, Failure)
    assert "async def" in report.message


def test_an_output_is_sent_as_it_is() -> None:
    report = completion_of(TASK, {"a": [1, None, "ä", 10**400]})
    assert isinstance(report, Completion)
    row = json.loads(report.row())
    assert row == {
        "run_id": str(TASK.run_id),
        "step_slug": "step",
        "task_index": 0,
        "lease_token": 7,
        "output": {"a": [1, None, "ä", 10**400]},
    }


def test_an_error_becomes_its_type_and_text() -> None:
    try:
        raise KeyError("amount")
    except KeyError as error:
        report = failure_of(TASK, error)
    assert report.message == "KeyError: 'amount'"
    assert report.retryable
    assert report.retry_after is None
    details = json.loads(report.details or "")
    assert details["type"] == "KeyError"
    assert 'raise KeyError("amount")' in details["traceback"]


def test_an_error_without_text_is_its_type() -> None:
    assert failure_of(TASK, ValueError()).message == "ValueError"


def test_an_error_that_cannot_be_printed_is_still_reported() -> None:
    report = failure_of(TASK, NastyError())
    assert report.message == "NastyError: (its text could not be made)"


def test_a_permanent_error_is_not_retried() -> None:
    assert not failure_of(TASK, PermanentError("no such order")).retryable


def test_retry_after_carries_its_delay() -> None:
    report = failure_of(TASK, RetryAfter(timedelta(minutes=2), "busy"))
    assert (report.retryable, report.retry_after, report.message) == (True, 120, "RetryAfter: busy")


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf])
def test_retry_after_refuses_what_is_no_delay(delay: float) -> None:
    with pytest.raises(ValueError, match="finite number of seconds"):
        RetryAfter(delay)


def test_an_error_text_is_cleaned_of_what_postgresql_cannot_hold() -> None:
    report = failure_of(TASK, ValueError("a\0b\ud800c"))
    assert report.message == "ValueError: a\ufffdb\ufffdc"
    assert "\\u0000" not in report.row()
    assert "\\ud800" not in report.row()


def test_a_long_error_text_keeps_its_start_and_its_end() -> None:
    report = failure_of(TASK, ValueError("start" + "x" * 10_000_000 + "end"))
    assert len(report.message) <= 8_000
    assert report.message.startswith("ValueError: start")
    assert report.message.endswith("end")
    assert len(report.details or "") < 100_000


def test_a_short_text_is_left_alone() -> None:
    assert clean("x" * 100, 100) == "x" * 100


def test_json_texts_survive_the_way_there_and_back() -> None:
    value = {"ä": [1.5, None, True, "\U0001f600"]}
    assert decode(encode(value)) == value


def test_a_text_that_python_cannot_read_says_so() -> None:
    for text in ("1" * 5000, "[" * 100_000, "1" * 400 + ".5"):
        with pytest.raises(UnsupportedValue, match="the task's input cannot be read by Python"):
            decode(text, "the task's input")


class FakeServer:
    """Refuses every batch that holds one of the bad outputs."""

    def __init__(self, *bad: str) -> None:
        self.bad = bad
        self.kept: list[str] = []
        self.calls = 0

    def post(self, reports: Sequence[Completion]) -> None:
        self.calls += 1
        if any(report.output in self.bad for report in reports):
            raise psycopg.errors.UntranslatableCharacter("unsupported Unicode escape sequence")
        self.kept += [report.output for report in reports]


def send_to(server: FakeServer, count: int) -> list[str]:
    refused = []
    reports = [Completion(TASK, str(i)) for i in range(count)]
    send(reports, server.post, lambda report, _: refused.append(report.output))
    return refused


def test_a_batch_without_offenders_is_one_call() -> None:
    server = FakeServer()
    assert send_to(server, 50) == []
    assert server.calls == 1


def test_only_the_offenders_of_a_batch_are_refused() -> None:
    server = FakeServer("17", "31")
    assert send_to(server, 50) == ["17", "31"]
    assert server.kept == [str(i) for i in range(50) if i not in (17, 31)]


def test_other_errors_are_not_taken_for_a_bad_value() -> None:
    def post(_: Sequence[Completion]) -> None:
        raise psycopg.errors.DeadlockDetected

    with pytest.raises(psycopg.errors.DeadlockDetected):
        send([Completion(TASK, "1")], post, lambda *_: None)


def test_a_refusal_says_what_postgresql_said() -> None:
    report = refusal_of(Completion(TASK, "1"), psycopg.errors.UntranslatableCharacter("..."))
    assert not report.retryable
    assert report.message.startswith("PostgreSQL cannot hold the output: ")
