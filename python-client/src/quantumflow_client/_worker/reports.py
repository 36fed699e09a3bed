"""Reports: what becomes of a handler's end, and what of a report that the database refuses."""

from __future__ import annotations

import enum
import inspect
import traceback
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from typing import TYPE_CHECKING

import psycopg

from quantumflow_client import _json
from quantumflow_client._log import logger
from quantumflow_client._sql import Completion, Failure
from quantumflow_client.errors import (
    PermanentError,
    QuantumflowError,
    RetryAfter,
    TaskOutputTooLarge,
    TypeViolation,
    UnsupportedValue,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantumflow_client._sql import TaskRef

Report = Completion | Failure

_PERMANENT = (PermanentError, TypeViolation, TaskOutputTooLarge)

_MESSAGE_LIMIT = 8_000
_TRACEBACK_LIMIT = 32_000
_OUTPUT_LIMIT = 1_000_000_000
"""Characters: PostgreSQL's protocol ends a connection on which a longer message arrives."""

_LARGE = 64_000_000
"""From how many characters on a report may be what a limit of the program (54000) is about."""


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
        retry_after=_delay_of(task, error, name) if issubclass(kind, RetryAfter) else None,
        details=_json.encode({"type": name, "traceback": _json.clean(lines, _TRACEBACK_LIMIT)}),
    )


def _said(make: Callable[[], str], otherwise: str) -> str:
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
    odd = _said(lambda: repr(delay), "(its text could not be made)")
    logger.warning("%s: the delay of %s is ignored: %s is none", task, name, odd)
    return None


class Verdict(enum.Enum):
    """What an error says of a call that failed."""

    LOST = enum.auto()
    """Nothing: the server or the connection is lost. The same call again, on a new connection."""

    CONFLICT = enum.auto()
    """It met another one. The same call again, at once."""

    REFUSED = enum.auto()
    """The database refused what was asked, and goes on answering."""


def verdict_of(error: BaseException, *, is_alive: bool) -> Verdict:
    """What an error says of the call that failed.

    Args:
        error: The error.
        is_alive: Whether the connection can be used again.
    """
    sqlstate = _sqlstate(error) or ""
    # A statement that was cancelled was refused; the rest of class 57 is a server that ends.
    is_ending = sqlstate.startswith("57") and sqlstate != "57014"
    if not is_alive or is_ending or sqlstate[:2] in {"08", "28"} or sqlstate in {"25006", "53300"}:
        return Verdict.LOST
    return Verdict.CONFLICT if sqlstate in {"40001", "40P01"} else Verdict.REFUSED


def _sqlstate(error: BaseException) -> str | None:
    return error.sqlstate if isinstance(error, (psycopg.Error, QuantumflowError)) else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the database, or our own side, did not take some report of a batch."""

    sqlstate: str | None
    type: str
    message: str

    def is_of(self, report: Report) -> bool:
        """Whether it will be so for ever: PostgreSQL cannot hold a value of the report.

        Class 22, and 54001: nested too deep. 54000 is a value that is too large, but it may be
        another limit as well, that of the queue of notifications: the size tells.
        """
        state = self.sqlstate or ""
        is_value = state.startswith("22") or state == "54001"
        return is_value or (state == "54000" and report.size >= _LARGE)


def refusal_of(error: BaseException) -> Refusal:
    """What an error says of the reports that were sent."""
    name = type(error).__name__
    if isinstance(error, QuantumflowError):
        message, detail = error.message, error.detail
    elif isinstance(error, psycopg.Error) and error.diag.message_primary:
        message, detail = error.diag.message_primary, error.diag.message_detail
    else:
        message, detail = _said(lambda: str(error), "(its text could not be made)"), None
    return Refusal(_sqlstate(error), name, f"{message} ({detail})" if detail else message)


def substitute_of(report: Report, refusal: Refusal) -> Failure:
    """A failure in place of a refused report; of a refused value it holds nothing."""
    what = "output" if isinstance(report, Completion) else "error"
    is_final = refusal.is_of(report)
    if is_final:
        message = f"PostgreSQL cannot hold the {what}: {refusal.message}"
    else:
        why = f"{refusal.sqlstate or refusal.type}: {refusal.message}"
        message = f"the {what} could not be reported, the database refused it: {why}"
        if isinstance(report, Failure):
            message += f"; it was: {report.message}"
    return Failure(
        report.ref,
        _json.clean(message, _MESSAGE_LIMIT),
        retryable=not is_final and (isinstance(report, Completion) or report.retryable),
        details=_json.encode({"type": refusal.type, "sqlstate": refusal.sqlstate}),
    )
