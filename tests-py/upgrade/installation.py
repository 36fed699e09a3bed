"""Where the old version is, and how it is updated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from quantumflow_client import _extension
from quantumflow_client.cli import _statements

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
