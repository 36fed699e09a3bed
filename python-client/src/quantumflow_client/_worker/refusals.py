"""Refusals: what an error of the database says of a call that failed, and of the reports in it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from quantumflow_client import _json
from quantumflow_client._connections import is_servers_end
from quantumflow_client._sql.tasks import Completion, Failure
from quantumflow_client._values import unstorable_in
from quantumflow_client.errors import QuantumflowError

from .reports import MESSAGE_LIMIT, in_ascii, said

if TYPE_CHECKING:
    from .reports import Report

_LARGE = 64_000_000
"""From how many characters on a report may be what a limit of the program (54000) is about."""


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
    if not is_alive or is_servers_end(sqlstate):
        return Verdict.LOST
    return Verdict.CONFLICT if sqlstate in {"40001", "40P01"} else Verdict.REFUSED


def can_never_succeed(error: Exception) -> bool:
    """Whether to claim again makes no sense: no rights, no such function, a refused argument."""
    if isinstance(error, psycopg.Error):
        return (error.sqlstate or "")[:2] in {"22", "28", "3F", "42"}
    return isinstance(error, QuantumflowError)


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
        message, detail = said(lambda: str(error), "(its text could not be made)"), None
    return Refusal(_sqlstate(error), name, f"{message} ({detail})" if detail else message)


def substitute_of(report: Report, refusal: Refusal) -> Failure:
    """A failure in place of a refused report; of a refused output it holds nothing.

    An error whose text PostgreSQL cannot hold stays what it is, in ASCII.
    """
    is_final = refusal.is_of(report)
    if is_final and isinstance(report, Failure):
        return in_ascii(report)
    what = "output" if isinstance(report, Completion) else "error"
    if is_final:
        found = unstorable_in(what, report.output) if isinstance(report, Completion) else None
        message = f"PostgreSQL cannot hold the {what}: {found or _json.plain(refusal.message)}"
    else:
        why = f"{refusal.sqlstate or refusal.type}: {refusal.message}"
        message = f"the {what} could not be reported, the database refused it: {why}"
        if isinstance(report, Failure):
            message += f"; it was: {report.message}"
    return Failure(
        report.ref,
        _json.clean(message, MESSAGE_LIMIT),
        retryable=isinstance(report, Completion) or report.retryable,
        details=_json.encode({"type": refusal.type, "sqlstate": refusal.sqlstate}),
        spent=report.spent,
    )


def _sqlstate(error: BaseException) -> str | None:
    return error.sqlstate if isinstance(error, (psycopg.Error, QuantumflowError)) else None
