"""Sessions that work while a test looks, or mends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mend.crowd import Crowd

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def crowd(dsn: str) -> Iterator[Crowd]:
    """Sessions for the fresh database."""
    crowd = Crowd(dsn)
    yield crowd
    crowd.stop()
