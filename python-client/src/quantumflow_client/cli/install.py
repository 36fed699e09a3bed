"""quantumflow install: puts quantumflow into a database, or updates what is there."""

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
@click.option("--from", "start", metavar="VERSION", help="With --sql: the script that updates it.")
def install(app: App, plain: bool, sql: bool, start: str | None) -> int:
    """Put quantumflow into a database, and make its queues.

    Without an option it is CREATE EXTENSION quantumflow CASCADE, for which the server needs
    the extension's files. An older version that is there is updated, the way it was installed.
    All or nothing is done.
    """
    if start is not None and not sql:
        raise click.UsageError("--from is for --sql: without, the database says its version.")
    if sql:
        scripts = [_extension.script()] if start is None else _upgrades_from(start)
        click.echo("".join(scripts), nl=False)
        return Exit.OK
    connection, ours = app.connections.open(), _extension.version()
    installed: list[str] = []
    try:
        found = _statements.installed_version(connection)
        if found == ours:
            document: dict[str, object] = {"version": ours, "found": found, "installed": []}
            app.show(
                document | {"plain": None, "queues": None},
                f"quantumflow {ours} is in this database already.",
            )
            return Exit.OK
        if found is not None:
            plain = _update(connection, found)
        else:
            installed = _install_plain(connection) if plain else _install(connection)
    finally:
        app.connections.give_back(connection)
    # Code of the owner's; whoever has come so far is the owner.
    queues = app.run(_sql.setup())
    document = {"version": ours, "found": found, "installed": installed}
    app.show(
        document | {"plain": plain, "queues": queues},
        (f"Installed {' and '.join(installed)}" if installed else f"Updated {found}")
        + (" as plain SQL" if plain else "")
        + f": quantumflow {ours}, queues {queues}.",
    )
    return Exit.OK


def _upgrades_from(found: str) -> list[str]:
    ours = _extension.version()
    scripts = _extension.upgrades_from(found)
    if scripts or found == ours:
        return scripts
    raise Problem(
        Exit.UNWELL,
        f"nothing leads from quantumflow {found} to {ours}, which this package brings",
        hint="Is the package older than the database? Then upgrade the package.",
    )


def _update(connection: psycopg.Connection[Any], found: str) -> bool:
    """Update the version that was found; whether it was installed as plain SQL."""
    plain = not _statements.is_extension(connection)
    scripts = _upgrades_from(found)
    if plain:
        _statements.run_scripts(connection, scripts)
    else:
        _statements.update_extension(connection, _extension.version())
    return plain


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
