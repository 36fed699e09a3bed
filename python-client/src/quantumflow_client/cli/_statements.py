"""The only statements of the command line that do not call a function of quantumflow.

They install it. There is nothing to call before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg


def has_pgmq(connection: psycopg.Connection[Any]) -> bool:
    """Whether the database has pgmq, as an extension or as plain SQL."""
    row = connection.execute("select to_regnamespace('pgmq') is not null").fetchone()
    assert row is not None
    return bool(row[0])


def create_extension(connection: psycopg.Connection[Any]) -> None:
    """Install quantumflow, and pgmq where it is missing, as extensions."""
    connection.execute("create extension quantumflow cascade")


def is_extension(connection: psycopg.Connection[Any]) -> bool:
    """Whether the database has quantumflow as an extension, not as plain SQL."""
    found = connection.execute("select from pg_extension where extname = 'quantumflow'")
    return found.rowcount > 0


def update_extension(connection: psycopg.Connection[Any], version: str) -> None:
    """Update the extension quantumflow."""
    statement = sql.SQL("alter extension quantumflow update to {}")
    connection.execute(statement.format(sql.Literal(version)))


def run_scripts(connection: psycopg.Connection[Any], scripts: Iterable[str]) -> None:
    """Run whole scripts in one transaction."""
    with connection.transaction():
        for script in scripts:
            connection.execute(script.encode())
