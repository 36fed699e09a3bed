"""An updated installation is a fresh one, or is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from quantumflow_client import _extension
from support.catalog import describe_schema
from upgrade.installation import OLD, Installation

Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.system


def version(connection: Connection) -> str:
    row = connection.execute("select quantumflow.version()").fetchone()
    assert row is not None
    return str(row[0])


def dumped(connection: Connection) -> set[str]:
    """The tables that pg_dump carries with the extension."""
    found = connection.execute(
        "select unnest(extconfig)::regclass::text from pg_extension where extname = 'quantumflow'"
    )
    return {name for (name,) in found}


def test_an_updated_schema_is_a_fresh_one(
    old: Installation, old_connection: Connection, connection: Connection
) -> None:
    assert version(old_connection) == OLD
    old.update(old_connection)
    assert describe_schema(old_connection) == describe_schema(connection)
    assert version(old_connection) == _extension.version()
    if not old.is_plain:
        assert dumped(old_connection) == dumped(connection)


def test_tables_in_use_keep_the_order_of_their_columns(
    old: Installation,
    old_connection: Connection,
    connection: Connection,
    connect: Callable[..., Connection],
) -> None:
    reader = connect(old.dsn, autocommit=False)
    reader.execute("select from quantumflow.step_states")
    old.update(old_connection)
    reader.rollback()
    updated, fresh = (describe_schema(c, ordered=False) for c in (old_connection, connection))
    assert updated == fresh
    assert describe_schema(old_connection) != describe_schema(connection)
