"""quantumflow install: puts quantumflow into a database, or updates what is there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import psycopg
from psycopg import sql as _quoted

from quantumflow_client import _extension, _pgmq, _sql

from . import _statements
from ._command import App, command
from ._errors import Exit, Problem, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@command(
    "install",
    example="quantumflow install --dsn postgresql://localhost/app\n"
    "quantumflow install --plain\n"
    "quantumflow install --sql | psql -1 -v ON_ERROR_STOP=1 app",
)
@click.option(
    "--plain",
    is_flag=True,
    help="Install as plain SQL: for a server on which no extension files can be put. "
    f"Installs pgmq likewise if it is missing, from its Python package (pip install "
    f"{_pgmq.PACKAGE}).",
)
@click.option(
    "--sql", is_flag=True, help="Print the script of --plain instead; connects to nothing."
)
@click.option(
    "--with-pgmq", is_flag=True, help="With --sql: pgmq's script too, for a database without it."
)
@click.option("--from", "start", metavar="VERSION", help="With --sql: the script that updates it.")
def install(app: App, plain: bool, sql: bool, with_pgmq: bool, start: str | None) -> int:
    """Put quantumflow into a database, and make its queues.

    Without an option it is CREATE EXTENSION quantumflow CASCADE, for which the server needs
    the files of both, which make install puts there. An older version that is there is updated,
    the way it was installed. All or nothing is done.
    """
    if start is not None and not sql:
        raise click.UsageError("--from is for --sql: without, the database says its version.")
    if with_pgmq and (not sql or start is not None):
        raise click.UsageError("--with-pgmq is for --sql: --plain brings it where it is missing.")
    if sql:
        scripts = _on_paper(with_pgmq) if start is None else _upgrades_from(start)
        click.echo("".join([_statements.PREAMBLE, *scripts] if scripts else []), nl=False)
        return Exit.OK
    connection, ours = app.connections.open(), _extension.version()
    installed: list[str] = []
    try:
        found = _statements.installed_version(connection)
        if found == ours:
            # Code of the owner's: nobody else runs it.
            session = _statements.standing(connection)
            is_ours = session.is_owner and session.may_run_it
            queues = app.run(_sql.installation.setup()) if is_ours else None
            document: dict[str, object] = {"version": ours, "found": found, "installed": []}
            app.show(
                document | {"plain": None, "queues": queues},
                f"quantumflow {ours} is in this database already, queues "
                f"{queues or 'are made by its owner: quantumflow setup'}.",
            )
            return Exit.OK
        if found is not None:
            plain = _update(connection, found)
        else:
            with _next_step(connection):
                installed = _install_plain(connection) if plain else _install(connection)
    finally:
        app.connections.discard(connection)
    # Code of the owner's; whoever has come so far is the owner.
    queues = app.run(_sql.installation.setup())
    document = {"version": ours, "found": found, "installed": installed}
    app.show(
        document | {"plain": plain, "queues": queues},
        (f"Installed {' and '.join(installed)}" if installed else f"Updated {found}")
        + (" as plain SQL" if plain else "")
        + f": quantumflow {ours}, queues {queues}.",
    )
    return Exit.OK


def _on_paper(with_pgmq: bool) -> list[str]:
    """What --sql prints: refuses a database for which it is not meant, installs, makes queues."""
    pgmq = [_script_of_pgmq(), "\n"] if with_pgmq else []
    guard = _statements.REFUSES_PGMQ if with_pgmq else _statements.NEEDS_PGMQ
    return [guard, *pgmq, _extension.script(), _statements.SETUP]


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


@contextmanager
def _next_step(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Say what to do about a refusal to install."""
    try:
        yield
    except psycopg.Error as error:
        problem = problem_of(error)
        assert problem is not None
        problem.hint = _advice(error, connection) or problem.hint
        raise problem from error


def _advice(error: psycopg.Error, connection: psycopg.Connection[Any]) -> str | None:
    if isinstance(error, (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile)):
        missing = " and ".join(_statements.missing_files(connection)) or "what is required"
        return (
            f"The server has not the files of {missing}. Put them there (in a clone, on the "
            "server: make install PG_CONFIG=...), or install without them: quantumflow install "
            "--plain."
        )
    if isinstance(error, psycopg.errors.ObjectNotInPrerequisiteState):
        return "pgmq is in this database as plain SQL: quantumflow install --plain."
    if isinstance(error, psycopg.errors.InsufficientPrivilege) and not error.diag.message_hint:
        grant = _quoted.SQL("grant create on database {} to {}").format(
            _quoted.Identifier(connection.info.dbname), _quoted.Identifier(connection.info.user)
        )
        return (
            "Whoever installs needs the right to create schemas, and owns what is installed. The "
            f"database's owner gives it: {grant.as_string(connection)};"
        )
    return None


def _install(connection: psycopg.Connection[Any]) -> list[str]:
    had_pgmq = _statements.has_pgmq(connection)
    _statements.create_extension(connection)
    return ["quantumflow"] if had_pgmq else ["pgmq", "quantumflow"]


def _install_plain(connection: psycopg.Connection[Any]) -> list[str]:
    scripts = {}
    if not _statements.has_pgmq(connection):
        scripts["pgmq"] = _script_of_pgmq()
    scripts["quantumflow"] = _extension.script()
    _statements.run_scripts(connection, scripts.values())
    return list(scripts)


def _script_of_pgmq() -> str:
    files = _pgmq.files()
    if files is None:
        raise Problem(
            Exit.UNREACHABLE,
            "pgmq's SQL is not at hand: the Python package pgmq is not installed",
            hint=f"Bring it along: pip install {_pgmq.PACKAGE}. Or, where the server offers pgmq "
            "itself, run CREATE EXTENSION pgmq first.",
        )
    (script,) = (text for name, text in files.items() if name.endswith(".sql"))
    return script
