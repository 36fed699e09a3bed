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
_SCRIPTS = {file.stem.removeprefix("quantumflow--") for file in _RELEASES.glob("*.sql")}
(BASE,) = (name for name in _SCRIPTS if "--" not in name)
# A hop leads to each of the others.
OLD = sorted({name.rpartition("--")[2] for name in _SCRIPTS} - {_extension.version()})


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


def base_script() -> str:
    """The script of the first version that anybody was given."""
    return (_RELEASES / f"quantumflow--{BASE}.sql").read_text("utf-8")


def install_old(
    connection: Connection, version: str, *, is_plain: bool, with_pgmq: bool = True
) -> None:
    """Install an old version, and pgmq before it unless that is there."""
    if is_plain:
        scripts = [text for file, text in pgmq_files().items() if file.endswith(".sql")]
        hops = _extension.upgrades_from(BASE)
        hops = hops[: len(hops) - len(_extension.upgrades_from(version))]
        _statements.run_scripts(connection, [*(scripts if with_pgmq else []), base_script(), *hops])
    else:
        if with_pgmq:
            connection.execute("create extension pgmq")
        connection.execute(f"create extension quantumflow version '{version}'")
