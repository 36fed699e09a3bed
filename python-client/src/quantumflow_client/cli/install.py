"""quantumflow install: puts quantumflow into a database."""

from __future__ import annotations

from typing import Any

import click
import psycopg

from quantumflow_client import _extension, _sql
from quantumflow_client.embedded import EmbeddedServerError, pgmq_files

from . import _statements
from ._command import App, command
from ._errors import Exit, Problem, problem_of


@command(
    "install",
    example="quantumflow install --dsn postgresql://localhost/app\n"
    "quantumflow install --sql | psql -1 -v ON_ERROR_STOP=1 app",
)
@click.option(
    "--plain",
    is_flag=True,
    help="Install as plain SQL: for a server on which no extension files can be put. "
    "Installs pgmq likewise if it is missing and the Python package pgmq is there.",
)
@click.option(
    "--sql", is_flag=True, help="Print the script of --plain instead; connects to nothing."
)
def install(app: App, plain: bool, sql: bool) -> int:
    """Put quantumflow into a database, and make its queues.

    Without an option it is CREATE EXTENSION quantumflow CASCADE, for which the server needs
    the extension's files. All or nothing is installed; once installed, it is left alone.
    """
    if sql:
        click.echo(_extension.script(), nl=False)
        return Exit.OK
    found = _installed_version(app)
    if found is not None:
        return _report_found(app, found)
    connection = app.connections.open()
    try:
        installed = _install_plain(connection) if plain else _install(connection)
    finally:
        app.connections.give_back(connection)
    queues = app.run(_sql.setup())
    version = app.run(_sql.version())
    app.show(
        {"version": version, "installed": installed, "plain": plain, "queues": queues},
        f"Installed {' and '.join(installed)} {'as plain SQL' if plain else ''}".rstrip()
        + f": quantumflow {version}, queues {queues}.",
    )
    return Exit.OK


def _installed_version(app: App) -> str | None:
    try:
        return app.run(_sql.version())
    except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedFunction):
        return None


def _report_found(app: App, found: str) -> int:
    ours = _extension.version()
    document: dict[str, object] = {"version": found, "installed": [], "plain": None, "queues": None}
    app.show(document, f"quantumflow {found} is in this database already.")
    if found == ours:
        return Exit.OK
    raise Problem(
        Exit.UNWELL,
        f"the database has quantumflow {found}, this package brings {ours}",
        hint="Upgrade the one or the other. See: quantumflow doctor.",
    )


def _install(connection: psycopg.Connection[Any]) -> list[str]:
    had_pgmq = _statements.has_pgmq(connection)
    try:
        _statements.create_extension(connection)
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile) as error:
        problem = problem_of(error)
        assert problem is not None
        problem.hint = (
            "The server has not the extension's files. Put them there (make install, or an image "
            "that has them), or install without them: quantumflow install --plain."
        )
        raise problem from error
    return ["quantumflow"] if had_pgmq else ["pgmq", "quantumflow"]


def _install_plain(connection: psycopg.Connection[Any]) -> list[str]:
    scripts = {}
    if not _statements.has_pgmq(connection):
        scripts["pgmq"] = _script_of_pgmq()
    scripts["quantumflow"] = _extension.script()
    _statements.run_scripts(connection, scripts.values())
    return list(scripts)


def _script_of_pgmq() -> str:
    try:
        files = pgmq_files()
    except EmbeddedServerError as error:
        raise Problem(
            Exit.UNREACHABLE,
            "pgmq is not in this database",
            detail="Neither is its SQL at hand: the Python package pgmq is not installed.",
            hint="Install pgmq first, with CREATE EXTENSION pgmq where the server has it; or "
            "bring its SQL along: pip install pgmq.",
        ) from error
    (script,) = (text for name, text in files.items() if name.endswith(".sql"))
    return script
