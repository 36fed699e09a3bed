"""Where the old version is, and how it is updated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from quantumflow_client import _extension
from quantumflow_client.cli import _statements
from quantumflow_client.embedded import pgmq_files
from support.server import REPOSITORY

Connection = psycopg.Connection[Any]

OLD = "0.1.0"


@dataclass(frozen=True, slots=True)
class Installation:
    """A database with the old version: where it is, and how it was installed."""

    dsn: str
    is_plain: bool

    def update(self, connection: Connection) -> None:
        """Update to the version that is built."""
        if self.is_plain:
            _statements.run_scripts(connection, _extension.upgrades_from(OLD))
        else:
            _statements.update_extension(connection, _extension.version())


def install_old(connection: Connection, *, is_plain: bool) -> None:
    """Install pgmq and the old version."""
    if is_plain:
        scripts = [text for file, text in pgmq_files().items() if file.endswith(".sql")]
        release = REPOSITORY / "extension" / "releases" / f"quantumflow--{OLD}.sql"
        _statements.run_scripts(connection, [*scripts, release.read_text("utf-8")])
    else:
        connection.execute("create extension pgmq")
        connection.execute(f"create extension quantumflow version '{OLD}'")
