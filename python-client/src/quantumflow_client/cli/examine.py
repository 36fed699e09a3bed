"""quantumflow doctor, check, sweep, setup, version: the installation and its state."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import click
import psycopg

from quantumflow_client import __version__, _extension, _pgmq, _sql
from quantumflow_client._sql.installation import Finding
from quantumflow_client.embedded import EmbeddedServerError
from quantumflow_client.errors import NotInstalled

from . import _statements
from ._command import RUN, App, command
from ._errors import Exit, Problem, problem_of

if TYPE_CHECKING:
    from quantumflow_client._connections import Connection


@command(
    "doctor",
    example="quantumflow doctor --dsn postgresql://localhost/app\nquantumflow doctor --strict",
)
@click.option("--strict", is_flag=True, help="End with 1 when something is a warning, too.")
def doctor(app: App, strict: bool) -> int:
    """Examine the server, the installation, queues and workers.

    Says what to do about what is not well. Works without a database, too: then it says what is
    missing. Ends with 5 when there is no database or no quantumflow in it, with 1 when something
    is an error, or, with --strict, a warning, and with 0 otherwise.
    """
    findings: list[Finding] = []
    exit_code = _examine(app, findings)
    if strict and exit_code == Exit.OK and any(found.state == "warning" for found in findings):
        exit_code = Exit.UNWELL
    if app.as_json:
        app.show_rows(findings, {}, none="")
        return exit_code
    app.show_rows(
        findings,
        {
            "state": lambda finding: finding.state,
            "subject": lambda finding: finding.subject,
            "fact": lambda finding: finding.fact,
        },
        none="",
    )
    advice = [finding for finding in findings if finding.advice is not None]
    if advice:
        click.echo("\nWhat to do:")
    for finding in advice:
        click.echo(f"  {finding.subject}: {finding.advice}")
    return exit_code


@command("check", example="quantumflow check && echo healthy")
@click.argument("run_id", metavar="[RUN]", type=RUN, required=False)
def check(app: App, run_id: UUID | None) -> int:
    """Find what breaks the rules that always hold.

    Looks at all runs, or at one. Ends with 1 when something is found.
    """
    if run_id is not None:
        app.run(
            _sql.runs.status(run_id)
        )  # an unknown run breaks no rule, but is not healthy either
    problems = app.run(_sql.installation.check_state(run_id))
    app.show_rows(
        problems,
        {
            "rule": lambda problem: problem.rule,
            "run": lambda problem: problem.run_id,
            "step": lambda problem: problem.step_slug,
            "task": lambda problem: problem.task_index,
            "queue": lambda problem: problem.queue,
            "message": lambda problem: problem.message_id,
            "problem": lambda problem: problem.problem,
            "repair would": lambda problem: problem.remedy,
        },
        none="Every rule holds.",
    )
    return Exit.UNWELL if problems else Exit.OK


@command("sweep", example="quantumflow sweep")
def sweep(app: App) -> None:
    """Do what nobody else would notice is left to do.

    Lost attempts are ended, and the ends of runs finished. Workers do their share of it, so this
    matters when there are none.
    """
    done = app.run(_sql.workers.sweep())
    app.show_rows(
        [{"action": action, "tasks": tasks} for action, tasks in done.items()],
        {"action": lambda row: row["action"], "done": lambda row: row["tasks"]},
        none="There was nothing to do.",
    )


@command("setup", example="quantumflow setup")
def setup(app: App) -> None:
    """Make the queues that are missing; safe to repeat.

    For a worker that starts before any workflow is defined, and for a restored database.
    """
    answer = app.run(_sql.installation.setup())
    app.show({"setup": answer}, answer)


@command("version", example="quantumflow version --json")
def version(app: App) -> None:
    """Print the versions of this client and of the database.

    quantumflow --version prints the client's, and asks no database.
    """
    in_database = app.run(_sql.installation.version())
    app.show(
        {"client": __version__, "database": in_database},
        f"client    {__version__}\ndatabase  {in_database}",
    )


def _examine(app: App, findings: list[Finding]) -> Exit:
    """Find out what can be found out, as far as it goes."""
    try:
        connection = app.connections.open()
    except (psycopg.Error, EmbeddedServerError, Problem) as error:
        problem = problem_of(error)
        assert problem is not None
        findings.append(Finding("connection", "error", problem.message, problem.hint))
        return problem.exit_code
    try:
        findings.append(Finding("connection", "ok", _place_of(connection), None))
        exit_code = _examine_database(app, connection, findings)
    finally:
        app.connections.discard(connection)
    return exit_code


def _place_of(connection: Connection) -> str:
    info = connection.info
    return f"database {info.dbname} on {info.host or 'localhost'} as {info.user}"


def _examine_database(app: App, connection: Connection, findings: list[Finding]) -> Exit:
    try:
        version = app.run(_sql.installation.version())
    except (NotInstalled, psycopg.errors.UndefinedFunction):
        findings += _examine_bare(connection)
        return Exit.UNREACHABLE
    examined = app.run(_sql.installation.doctor())
    findings += examined
    ours = _extension.version()
    findings.append(
        Finding(
            "client",
            "ok" if version == ours else "warning",
            f"client {__version__}, made for quantumflow {ours}",
            None
            if version == ours
            else f"The database has {version}. Upgrade it (quantumflow install) or the client.",
        )
    )
    return Exit.UNWELL if any(f.state == "error" for f in findings) else Exit.OK


def _examine_bare(connection: Connection) -> list[Finding]:
    """What can be said of a database without quantumflow."""
    major = connection.info.server_version // 10000
    has_pgmq = _statements.has_pgmq(connection)
    missing = _statements.missing_files(connection)
    advice = "Run: quantumflow install."
    if missing:
        plain = "quantumflow install --plain"
        if not has_pgmq:
            plain = f"pip install {_pgmq.PACKAGE}, then {plain}"
        advice = (
            f"The server has not the files of {' and '.join(missing)}. Run: {plain}. Or put them "
            "there (in a clone, on the server: make install PG_CONFIG=...), then: quantumflow "
            "install."
        )
    return [
        Finding(
            "server",
            "ok" if major >= 14 else "error",
            f"PostgreSQL {major}",
            None if major >= 14 else "quantumflow needs PostgreSQL 14 or newer.",
        ),
        Finding(
            "pgmq",
            "ok" if has_pgmq else "warning",
            "pgmq is installed" if has_pgmq else "pgmq is not installed",
            None if has_pgmq else "Nothing: it comes with quantumflow, as follows.",
        ),
        Finding(
            "quantumflow",
            "error",
            "quantumflow is not installed in this database",
            advice,
        ),
    ]
