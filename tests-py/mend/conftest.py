"""Sessions that work while a test looks, or mends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mend.crowd import Crowd


@pytest.fixture
def crowd(dsn: str) -> Iterator[Crowd]:
    """Sessions for the fresh database."""
    crowd = Crowd(dsn)
    yield crowd
    crowd.stop()
