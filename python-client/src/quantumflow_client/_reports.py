"""Reports: what becomes of a handler's end, and how one bad value is kept from spoiling a batch."""

from __future__ import annotations

import inspect
import traceback
from typing import TYPE_CHECKING, TypeVar

import psycopg

from . import _json
from ._sql import Completion, Failure
from .errors import (
    PermanentError,
    RetryAfter,
    TaskOutputTooLarge,
    TypeViolation,
    UnsupportedValue,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._sql import TaskRef

R = TypeVar("R", Completion, Failure)

_PERMANENT = (PermanentError, TypeViolation, TaskOutputTooLarge)

_MESSAGE_LIMIT = 8_000
_TRACEBACK_LIMIT = 32_000
_OUTPUT_LIMIT = 1_000_000_000
"""Characters: PostgreSQL's protocol ends a connection on which a longer message arrives."""


def completion_of(task: TaskRef, output: object) -> Completion | Failure:
    """What a handler returned, as a report; a failure if it is no JSON."""
    try:
        if inspect.iscoroutine(output):
            output.close()
            raise UnsupportedValue(
                "the handler returned a coroutine: make it async def, or await it"
            )
        text = _json.encode(output, "the output")
        if len(text) > _OUTPUT_LIMIT:
            raise UnsupportedValue(f"the output is too large: {len(text)} bytes of JSON")
    except BaseException as error:  # what is encoded may be an object of users' own classes
        return failure_of(task, error, retryable=isinstance(error, MemoryError))
    return Completion(task, text)


def failure_of(task: TaskRef, error: BaseException, *, retryable: bool | None = None) -> Failure:
    """What a handler raised, as a report."""
    kind = type(error)
    if retryable is None:
        retryable = not issubclass(kind, _PERMANENT)
    name = _said(lambda: kind.__name__, "an error")
    text = _said(lambda: str(error), "(its text could not be made)")
    lines = _said(
        lambda: "".join(traceback.format_exception(kind, error, error.__traceback__)),
        "(the traceback could not be made)",
    )
    return Failure(
        task,
        _json.clean(f"{name}: {text}" if text else name, _MESSAGE_LIMIT),
        retryable=retryable,
        retry_after=_delay_of(error) if issubclass(kind, RetryAfter) else None,
        details=_json.encode({"type": name, "traceback": _json.clean(lines, _TRACEBACK_LIMIT)}),
    )


def _said(make: Callable[[], str], otherwise: str) -> str:
    """A text of users' code, as a plain str; something else if it raises, whatever it raises."""
    try:
        return str.__str__(make())
    except BaseException:
        return otherwise


def _delay_of(error: BaseException) -> float | None:
    """The delay that was asked for; None, the usual one, if a class of the user's lacks it."""
    try:
        delay: object = error.seconds  # type: ignore[attr-defined]
        return RetryAfter(delay).seconds  # type: ignore[arg-type]
    except BaseException:
        return None


def is_refused_value(error: BaseException) -> bool:
    """Whether the database could not hold a value that it was sent (classes 22 and 54)."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in {"22", "54"}


def send(
    reports: Sequence[R],
    post: Callable[[Sequence[R]], None],
    refused: Callable[[R, psycopg.Error], None],
) -> None:
    """Report a batch; if PostgreSQL refuses a value in it, find out which, and report the rest.

    Args:
        reports: The batch.
        post: Reports some of them in one call.
        refused: Is told each report that was refused by itself, and why.
    """
    try:
        post(reports)
    except psycopg.Error as error:
        if not is_refused_value(error):
            raise
        if len(reports) == 1:
            refused(reports[0], error)
            return
        middle = len(reports) // 2
        send(reports[:middle], post, refused)
        send(reports[middle:], post, refused)


def refusal_of(report: Completion | Failure, error: psycopg.Error) -> Failure:
    """A failure in place of a refused report; it holds nothing of what was refused."""
    what = "output" if isinstance(report, Completion) else "error"
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    message = f"PostgreSQL cannot hold the {what}: {error.diag.message_primary}{detail}"
    return Failure(
        report.ref,
        _json.clean(message, _MESSAGE_LIMIT),
        retryable=False,
        details=_json.encode({"type": type(error).__name__, "sqlstate": error.sqlstate}),
    )
