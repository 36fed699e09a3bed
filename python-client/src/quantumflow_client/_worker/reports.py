"""Reports: what a handler returned or raised, as the database is told."""

from __future__ import annotations

import inspect
import traceback
from dataclasses import replace
from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING

from quantumflow_client import _json
from quantumflow_client._log import logger
from quantumflow_client._sql.tasks import Completion, Failure, Spent
from quantumflow_client.errors import (
    PermanentError,
    RetryAfter,
    TaskOutputTooLarge,
    TypeViolation,
    UnsupportedValue,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantumflow_client._sql.tasks import TaskRef

Report = Completion | Failure

_UNKNOWN = Spent()

_PERMANENT = (PermanentError, TypeViolation, TaskOutputTooLarge)

MESSAGE_LIMIT = 8_000
_TRACEBACK_LIMIT = 32_000
_OUTPUT_LIMIT = 1_000_000_000
"""Characters: PostgreSQL's protocol ends a connection on which a longer message arrives."""


class FailedElsewhere(Exception):  # noqa: N818 - it says what happened in a process
    """What a handler has raised in a process of its own, with its traceback there.

    Attributes:
        failure: What to report of it.
    """

    def __init__(self, failure: Failure) -> None:
        lines = _json.decode(failure.details or "{}").get("traceback")
        super().__init__(f"{failure.message}\n{lines}" if lines else failure.message)
        self.failure = failure


def completion_of(
    task: TaskRef,
    output: object,
    spent: Spent = _UNKNOWN,
    encode: _json.Encoder = _json.encode,
) -> Completion | Failure:
    """What a handler returned, as a report; a failure if it is no JSON."""
    try:
        if inspect.iscoroutine(output):
            output.close()
            raise UnsupportedValue(
                "the handler returned a coroutine: make it async def, or await it"
            )
        text = encode(output, "the output")
        if len(text) > _OUTPUT_LIMIT:
            raise UnsupportedValue(f"the output is too large: {len(text)} bytes of JSON")
    except BaseException as error:  # what is encoded may be an object of users' own classes
        return failure_of(task, error, spent)
    return Completion(task, text, spent)


def failure_of(
    task: TaskRef,
    error: BaseException,
    spent: Spent = _UNKNOWN,
    *,
    retryable: bool | None = None,
) -> Failure:
    """What a handler raised, as a report."""
    kind = type(error)
    if retryable is None:
        retryable = not issubclass(kind, _PERMANENT)
    name = said(lambda: kind.__name__, "an error")
    text = said(lambda: str(error), "(its text could not be made)")
    lines = said(
        lambda: "".join(traceback.format_exception(kind, error, error.__traceback__)),
        "(the traceback could not be made)",
    )
    return Failure(
        task,
        _json.clean(f"{name}: {text}" if text else name, MESSAGE_LIMIT),
        retryable=retryable,
        retry_after=_delay_of(task, error, name) if issubclass(kind, RetryAfter) else None,
        details=_json.encode(
            {
                "type": _json.clean(name, MESSAGE_LIMIT),
                "traceback": _json.clean(lines, _TRACEBACK_LIMIT),
            }
        ),
        spent=spent,
    )


def in_ascii(failure: Failure) -> Failure:
    """The same failure in a text that any database can hold."""
    details = _json.decode(failure.details or "{}")
    return replace(
        failure,
        message=_json.clean(_json.plain(failure.message), MESSAGE_LIMIT),
        details=_json.encode(
            {
                key: _json.clean(_json.plain(str(value)), _TRACEBACK_LIMIT)
                for key, value in details.items()
            }
        ),
    )


def said(make: Callable[[], str], otherwise: str) -> str:
    """A text of users' code, as a plain str; something else if it raises, whatever it raises."""
    try:
        return str.__str__(make())
    except BaseException:
        return otherwise


def _delay_of(task: TaskRef, error: BaseException, name: str) -> float | None:
    """The delay that was asked for, in seconds; None, the step's own, if it is none.

    A subclass may have set what it liked, or nothing.
    """
    try:
        delay: object = error.seconds  # type: ignore[attr-defined]
        if isinstance(delay, timedelta):
            delay = delay.total_seconds()
        if not isinstance(delay, (str, bytes)):
            seconds = float(delay)  # type: ignore[arg-type]
            if isfinite(seconds) and seconds >= 0:
                return seconds
    except BaseException:
        delay = None
    odd = said(lambda: repr(delay), "(its text could not be made)")
    logger.warning("%s: the delay of %s is ignored: %s is none", task, name, odd)
    return None
