"""Reports: what becomes of outputs and errors, and of a batch with something PostgreSQL refuses."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from quantumflow_client import PermanentError, RetryAfter
from quantumflow_client._json import clean, decode, encode
from quantumflow_client._sql.tasks import Completion, Failure, Spent, TaskRef
from quantumflow_client._worker.refusals import (
    Verdict,
    refusal_of,
    substitute_of,
    verdict_of,
)
from quantumflow_client._worker.reports import completion_of, failure_of
from quantumflow_client.errors import UnknownQueue, UnsupportedValue

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
        (circular(), "Circular"),
        (10**5000, "digit"),
        (deep(100_000), "nested too deep"),
        ({(1, 2): 3}, "keys are texts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_output_that_is_no_json_fails_its_attempt(value: object, problem: str) -> None:
    report = completion_of(TASK, value)
    assert isinstance(report, Failure)
    assert report.retryable, "as any exception"
    assert report.message.startswith("UnsupportedValue: the output cannot be stored as JSON")
    assert problem in report.message


def test_an_object_that_cannot_even_be_printed_fails_its_attempt() -> None:
    report = completion_of(TASK, Nasty())
    assert isinstance(report, Failure)
    assert report.retryable


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


class OddDelay(RetryAfter):
    def __init__(self, seconds: Any) -> None:
        super().__init__(1, "busy")
        self.seconds = seconds


class NoDelay(RetryAfter):
    def __init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("seconds", "delay"), [(timedelta(5), 432_000), (3, 3), (0, 0), (Decimal("1.5"), 1.5)]
)
def test_a_subclass_may_keep_its_delay_in_other_types(seconds: Any, delay: float) -> None:
    assert failure_of(TASK, OddDelay(seconds)).retry_after == delay


@pytest.mark.parametrize(
    "error",
    [*map(OddDelay, [math.nan, math.inf, -1, "5", None, [], 1j, 10**400, Nasty()]), NoDelay()],
    ids=lambda error: type(getattr(error, "seconds", None)).__name__,
)
def test_a_delay_that_is_none_is_ignored(
    error: RetryAfter, caplog: pytest.LogCaptureFixture
) -> None:
    report = failure_of(TASK, error)
    assert report.retryable
    assert report.retry_after is None
    assert "is ignored" in caplog.text
    json.loads(report.row())


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


# What the database refuses


@pytest.mark.parametrize("sqlstate", ["08006", "57P01", "57P02", "57P03", "57P04", "57P05"])
def test_a_server_that_ends_is_lost(sqlstate: str) -> None:
    assert verdict_of(error_of(sqlstate), is_alive=True) is Verdict.LOST


@pytest.mark.parametrize("sqlstate", ["25006", "28000", "28P01", "53300"])
def test_a_server_that_takes_nothing_from_us_is_lost(sqlstate: str) -> None:
    assert verdict_of(error_of(sqlstate), is_alive=True) is Verdict.LOST


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_to_have_met_another_call_is_a_conflict(sqlstate: str) -> None:
    assert verdict_of(error_of(sqlstate), is_alive=True) is Verdict.CONFLICT


REFUSALS = ["0A000", "21000", "22P05", "25P02", "40000", "42501", "42883", "53100", "53200"]
REFUSALS += ["54000", "54001", "55P03", "57014", "58030", "P0001", "XX000"]


@pytest.mark.parametrize("sqlstate", REFUSALS)
def test_anything_else_on_a_living_connection_is_a_refusal(sqlstate: str) -> None:
    assert verdict_of(error_of(sqlstate), is_alive=True) is Verdict.REFUSED
    assert verdict_of(error_of(sqlstate), is_alive=False) is Verdict.LOST


@pytest.mark.parametrize("error", [UnknownQueue("no queue"), TypeError("odd"), MemoryError()])
def test_so_is_an_error_of_our_own(error: Exception) -> None:
    assert verdict_of(error, is_alive=True) is Verdict.REFUSED


def error_of(sqlstate: str) -> psycopg.Error:
    return psycopg.errors.lookup(sqlstate)("no")


SMALL, LARGE = Completion(TASK, "1"), Completion(TASK, "1" * 64_000_000)


@pytest.mark.parametrize("sqlstate", ["22P05", "22P02", "22021", "54001"])
def test_a_value_that_postgresql_cannot_hold_is_refused_for_ever(sqlstate: str) -> None:
    assert refusal_of(error_of(sqlstate)).is_of(SMALL)


def test_a_limit_of_the_program_is_about_the_value_if_that_is_large() -> None:
    refusal = refusal_of(error_of("54000"))
    assert refusal.is_of(LARGE)
    # Or it is the queue of notifications that is full.
    assert not refusal.is_of(SMALL)


@pytest.mark.parametrize("sqlstate", ["42501", "57014", "55P03", "53200", "XX000", "P0001"])
def test_other_refusals_may_pass(sqlstate: str) -> None:
    assert not refusal_of(error_of(sqlstate)).is_of(SMALL)


def test_a_refused_value_fails_its_attempt_in_postgresqls_words() -> None:
    report = substitute_of(SMALL, refusal_of(psycopg.errors.UntranslatableCharacter("no such")))
    assert report.retryable
    assert report.message == "PostgreSQL cannot hold the output: no such"


def test_what_was_refused_too_long_fails_for_now_and_says_why() -> None:
    refusal = refusal_of(UnknownQueue("no queue", sqlstate="QF401", detail="none"))
    report = substitute_of(SMALL, refusal)
    assert report.retryable
    assert "output could not be reported" in report.message
    assert report.message.endswith("QF401: no queue (none)")


def test_an_error_that_postgresql_cannot_hold_stays_what_it_is_in_ascii() -> None:
    spent = Spent(1.5, '{"tokens":2}')
    error = RetryAfter(7, "5 \N{EURO SIGN} \0 \ud800 \N{GRINNING FACE}")
    report = failure_of(TASK, error, spent)
    substitute = substitute_of(report, refusal_of(error_of("22P05")))
    assert substitute.message == r"RetryAfter: 5 \u20ac \ufffd \ufffd \U0001f600"
    assert (substitute.retryable, substitute.retry_after, substitute.spent) == (True, 7, spent)
    assert (substitute.row() + json.loads(substitute.row())["error_message"]).isascii()
    details = json.loads(substitute.row())["error_details"]
    assert details["type"] == "RetryAfter"
    assert r"\u20ac" in details["traceback"]
    assert details["traceback"].isascii()

    final = failure_of(TASK, PermanentError("\N{EURO SIGN}"))
    assert not substitute_of(final, refusal_of(error_of("22P05"))).retryable


def test_a_report_says_what_its_attempt_took() -> None:
    spent = Spent(0.0000004, '{"tokens":2}')
    for report in (Completion(TASK, "1", spent), Failure(TASK, "no", spent=spent)):
        row = json.loads(report.row())
        assert (row["seconds"], row["usage"]) == (0, {"tokens": 2})
    for report in (Completion(TASK, "1"), Failure(TASK, "no")):
        assert not {"seconds", "usage"} & set(json.loads(report.row()))


def test_a_refused_error_is_kept_in_its_substitute() -> None:
    error = Failure(TASK, "ValueError: seven", retryable=False)
    report = substitute_of(error, refusal_of(error_of("42501")))
    assert not report.retryable
    assert "42501" in report.message
    assert "ValueError: seven" in report.message
