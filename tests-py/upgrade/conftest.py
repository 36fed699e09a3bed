"""Databases with old versions, as an extension and as plain SQL, that can be updated."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from upgrade.installation import OLD, Installation, install_old

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantumflow_client.embedded import EmbeddedServer

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="session")
def old_template(server: EmbeddedServer) -> Callable[[str, bool], str]:
    """Answers the name of a database with a version, plain or not, to be copied."""

    @functools.cache
    def make(version: str, is_plain: bool) -> str:
        name = f"old_{version}_{'plain' if is_plain else 'extension'}"
        with psycopg.connect(server.create_database(name, ()), autocommit=True) as connection:
            install_old(connection, version, is_plain=is_plain)
        return name

    return make


@pytest.fixture(params=OLD)
def old_version(request: pytest.FixtureRequest) -> str:
    """Each version that there was."""
    return str(request.param)


@pytest.fixture(params=["extension", "plain"])
def old(
    request: pytest.FixtureRequest,
    server: EmbeddedServer,
    new_database: Callable[..., str],
    old_template: Callable[[str, bool], str],
    old_version: str,
) -> Installation:
    """A fresh database with an old version."""
    is_plain = request.param == "plain"
    dsn = server.dsn(new_database(old_template(old_version, is_plain)))
    return Installation(dsn, old_version, is_plain)


@pytest.fixture
def old_connection(old: Installation, connect: Callable[..., Connection]) -> Connection:
    """One autocommit connection to it."""
    return connect(old.dsn)
