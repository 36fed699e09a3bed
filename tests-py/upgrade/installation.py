"""Where an old version is, and how it is updated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from quantumflow_client import _extension
from quantumflow_client.cli import _statements
from quantumflow_client.embedded import pgmq_files
from support.server import REPOSITORY

Connection = psycopg.Connection[Any]

_RELEASES = REPOSITORY / "extension" / "releases"
OLD = sorted(
    file.stem.removeprefix("quantumflow--")
    for file in _RELEASES.glob("quantumflow--*.sql")
    if file.stem.count("--") == 1 and file.stem != f"quantumflow--{_extension.version()}"
)


@dataclass(frozen=True, slots=True)
class Installation:
    """A database with an old version: where it is, which, and how it was installed."""

    dsn: str
    version: str
    is_plain: bool

    def update(self, connection: Connection) -> None:
        """Update to the version that is built."""
        if self.is_plain:
            _statements.run_scripts(connection, _extension.upgrades_from(self.version))
        else:
            _statements.update_extension(connection, _extension.version())


def install_old(
    connection: Connection, version: str, *, is_plain: bool, with_pgmq: bool = True
) -> None:
    """Install an old version, and pgmq before it unless that is there."""
    if is_plain:
        scripts = [text for file, text in pgmq_files().items() if file.endswith(".sql")]
        release = _RELEASES / f"quantumflow--{version}.sql"
        before = scripts if with_pgmq else []
        _statements.run_scripts(connection, [*before, release.read_text("utf-8")])
    else:
        if with_pgmq:
            connection.execute("create extension pgmq")
        connection.execute(f"create extension quantumflow version '{version}'")
