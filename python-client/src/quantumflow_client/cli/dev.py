"""quantumflow dev: a PostgreSQL of one's own, for trying things."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from quantumflow_client import _sql
from quantumflow_client._dsn import EMBEDDED_IN
from quantumflow_client.embedded import EmbeddedServer

from ._command import App, command


@command(
    "dev",
    example="quantumflow dev\nquantumflow dev --psql",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=EMBEDDED_IN,
    show_default=True,
    help="Where the server has its files. Another folder needs --dsn later on.",
)
@click.option("--psql", is_flag=True, help="Open psql in the database.")
@click.option("--stop", is_flag=True, help="Stop the server. Its data stays.")
def dev(app: App, directory: Path, psql: bool, stop: bool) -> None:
    """Start a PostgreSQL with quantumflow in a folder here.

    The first time makes it, in about a second; later ones find it again, running or not. It
    keeps running until it is stopped with --stop.
    """
    if app.dsn is not None:
        raise click.UsageError("dev makes its own database: --dsn is for the other commands")
    server = EmbeddedServer(directory)
    if stop:
        was_running = directory.is_dir() and server.is_running
        if was_running:
            server.stop()
        app.show(
            {"directory": str(directory), "running": False},
            f"The server in {directory} is stopped."
            if was_running
            else f"No server runs in {directory}.",
        )
        return
    server.start()
    dsn = server.create_database("quantumflow")
    app.dsn = dsn
    app.run(_sql.installation.setup())
    program = [str(server.bindir / "psql"), dsn]
    if psql:
        os.execv(program[0], program)  # noqa: S606 - psql takes this process's place
    app.show(
        {
            "directory": str(directory),
            "running": True,
            "dsn": dsn,
            "psql": shlex.join(program),
        },
        f"PostgreSQL with quantumflow runs in {directory}.\n"
        f"\n"
        f"  dsn   {dsn}\n"
        f"  psql  {shlex.join(program)}\n"
        f"  stop  quantumflow dev --stop"
        + ("" if directory == EMBEDDED_IN else f" --directory {shlex.quote(str(directory))}"),
    )
