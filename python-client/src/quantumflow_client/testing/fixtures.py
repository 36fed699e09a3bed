"""Fixtures for pytest: pytest_plugins = ["quantumflow_client.testing.fixtures"]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ._rehearsal import Rehearsal
from ._servers import Database, database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantumflow_client import Client


@pytest.fixture
def quantumflow_client() -> Client | None:
    """The client whose handlers, hooks and resources `rehearsal` uses: to be overridden."""
    return None


@pytest.fixture
def rehearsal(quantumflow_client: Client | None) -> Iterator[Rehearsal]:
    """A stage for flows, of which nothing is left after the test."""
    with Rehearsal(quantumflow_client) as made:
        yield made


@pytest.fixture
def quantumflow_database() -> Iterator[Database]:
    """A database of its own for the test, whose clock can be advanced, for any connection."""
    with database() as made:
        yield made
