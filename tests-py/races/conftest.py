"""Sessions on the database that the tests of one module share, which notice deadlocks at once."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
import pytest

from support.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A deadlock is found after 100 ms, not after 1 s; and a call that waits for a lock that nobody will
# give up is an error, so that a test fails instead of hanging.
OPTIONS = "-c deadlock_timeout=100ms -c statement_timeout=20s"


@pytest.fixture(scope="module")
def new_engine(module_dsn: str) -> Iterator[Callable[[], Engine]]:
    """Opens sessions that last as long as the module's tests."""
    with contextlib.ExitStack() as opened:

        def make() -> Engine:
            return Engine(
                opened.enter_context(psycopg.connect(module_dsn, autocommit=True, options=OPTIONS))
            )

        yield make
