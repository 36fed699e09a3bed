"""Databases with quantumflow 0.1.0, as an extension and as plain SQL, that can be updated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from quantumflow_client.embedded import EmbeddedServer
from upgrade.installation import Installation, install_old

Connection = psycopg.Connection[Any]


def _make_template(server: EmbeddedServer, *, is_plain: bool) -> str:
    name = f"old_{'plain' if is_plain else 'extension'}"
    with psycopg.connect(server.create_database(name, ()), autocommit=True) as connection:
        install_old(connection, is_plain=is_plain)
    return name


@pytest.fixture(scope="session")
def old_extension(server: EmbeddedServer) -> str:
    """The name of a database with the old extension, to be copied."""
    return _make_template(server, is_plain=False)


@pytest.fixture(scope="session")
def old_plain(server: EmbeddedServer) -> str:
    """The name of a database with the old version as plain SQL, to be copied."""
    return _make_template(server, is_plain=True)


@pytest.fixture(params=["extension", "plain"])
def old(
    request: pytest.FixtureRequest, server: EmbeddedServer, new_database: Callable[..., str]
) -> Installation:
    """A fresh database with the old version."""
    template = request.getfixturevalue(f"old_{request.param}")
    return Installation(server.dsn(new_database(template)), request.param == "plain")


@pytest.fixture
def old_connection(old: Installation, connect: Callable[..., Connection]) -> Connection:
    """One autocommit connection to it."""
    return connect(old.dsn)
