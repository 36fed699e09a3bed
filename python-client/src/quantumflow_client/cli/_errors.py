"""What went wrong, for a person or a script: the exit codes, and which error means which."""

from __future__ import annotations

from enum import IntEnum

import click
import psycopg

from quantumflow_client.embedded import EmbeddedServerError
from quantumflow_client.errors import (
    BadArgument,
    ConnectionsBusy,
    HandlerMissing,
    NoDatabase,
    NotInstalled,
    QuantumflowError,
    RunCancelled,
    RunFailed,
    StepNotInFlow,
    StepNotInRun,
    UnknownQueue,
    UnknownRun,
    UnknownSchedule,
    UnknownStep,
    UnknownVersion,
    UnknownWorkflow,
    UnsupportedValue,
    WaitTimeout,
    WorkerHung,
)


class Exit(IntEnum):
    """The exit codes; EXIT_CODES says what they mean."""

    OK = 0
    UNWELL = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNREACHABLE = 5
    HUNG = 6
    TIMED_OUT = 124
    INTERRUPTED = 130


EXIT_CODES = {
    Exit.OK: "done, and all is well",
    Exit.UNWELL: "not well: the run failed or was cancelled, something was found",
    Exit.USAGE: "the command was called wrongly, or its input cannot be read",
    Exit.NOT_FOUND: "there is no such run, workflow, version, step or queue",
    Exit.REFUSED: "the database refused; its code (QFnnn) is in the message",
    Exit.UNREACHABLE: "no database can be reached, or quantumflow is not in it",
    Exit.HUNG: "so many handlers hang that the worker needs another process: start it again",
    Exit.TIMED_OUT: "what was waited for took too long, and goes on",
    Exit.INTERRUPTED: "interrupted from the keyboard",
}


class Problem(Exception):  # noqa: N818 - it is reported, not raised at anybody
    """Why a command cannot go on.

    Attributes:
        exit_code: How the command ends.
        message: What is wrong.
        code: The database's code, or None.
        detail: The facts, or None.
        hint: What to do about it, or None.
    """

    def __init__(
        self,
        exit_code: Exit,
        message: str,
        *,
        code: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message
        self.code = code
        self.detail = detail
        self.hint = hint

    def as_json(self) -> dict[str, object]:
        """The document that --json writes to the standard error."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "detail": self.detail,
                "hint": self.hint,
                "exit_code": int(self.exit_code),
            }
        }


_NOT_FOUND = (
    UnknownRun,
    UnknownSchedule,
    UnknownWorkflow,
    UnknownVersion,
    StepNotInFlow,
    UnknownStep,
    StepNotInRun,
    UnknownQueue,
)
_UNWELL = (RunFailed, RunCancelled)
_USAGE = (UnsupportedValue, HandlerMissing, BadArgument)

# Classes of SQLSTATE: connection, wrong password, too many connections, shut down.
_LOST = ("08", "28", "53", "57")


_HOW_TO_CONNECT = (
    "Start the server, or name another: --dsn, QUANTUMFLOW_DSN, or PGHOST and the like. A database "
    "that does not exist is made with createdb. Without a server: quantumflow dev."
)


def problem_of(error: BaseException) -> Problem | None:
    """What to report of an error; None if it is a bug, whose traceback somebody needs."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, click.ClickException):
        return Problem(Exit.USAGE, error.format_message())
    if isinstance(error, click.Abort):
        return Problem(Exit.INTERRUPTED, "interrupted")
    if isinstance(error, QuantumflowError):
        return Problem(
            _exit_of(error),
            error.message,
            code=error.sqlstate,
            detail=error.detail,
            hint=error.hint,
        )
    if isinstance(error, EmbeddedServerError):
        return Problem(Exit.UNREACHABLE, error.message, hint=error.hint)
    if isinstance(error, psycopg.Error):
        return _problem_of_server(error)
    return None


def _exit_of(error: QuantumflowError) -> Exit:
    if isinstance(error, WaitTimeout):
        return Exit.TIMED_OUT
    if isinstance(error, (NotInstalled, NoDatabase, ConnectionsBusy)):
        return Exit.UNREACHABLE
    if isinstance(error, WorkerHung):
        return Exit.HUNG
    if isinstance(error, _UNWELL):
        return Exit.UNWELL
    if isinstance(error, _USAGE) and error.sqlstate is None:
        return Exit.USAGE
    return Exit.NOT_FOUND if isinstance(error, _NOT_FOUND) else Exit.REFUSED


def _problem_of_server(error: psycopg.Error) -> Problem:
    state = error.sqlstate
    exit_code, hint = Exit.REFUSED, error.diag.message_hint
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        if state is None or state.startswith(_LOST):
            exit_code = Exit.UNREACHABLE
            hint = hint or _HOW_TO_CONNECT
    elif state is None:  # what psycopg could not make sense of: a connection string
        exit_code = Exit.USAGE
        hint = "A connection string is postgresql://user@host/database or host=... dbname=..."
    elif isinstance(error, psycopg.errors.UndefinedFunction):
        exit_code = Exit.UNREACHABLE
        hint = "The quantumflow in this database is another version. See: quantumflow doctor."
    elif isinstance(error, psycopg.errors.InsufficientPrivilege):
        hint = hint or (
            "The role lacks a right. Whoever owns quantumflow gives it: "
            "select quantumflow.grant_access(role, access)."
        )
    return Problem(
        exit_code,
        error.diag.message_primary or str(error).strip(),
        code=state,
        detail=error.diag.message_detail,
        hint=hint,
    )
