"""A server that does nothing but what it is asked, so that what it counts is that."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from support.meter.driver import Driver
from support.meter.server import Server
from support.server import build_extension

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTINGS = {
    "autovacuum": "off",
    "bgwriter_lru_maxpages": "0",
    "checkpoint_timeout": "1h",
    "fsync": "off",
    "full_page_writes": "off",
}


@contextlib.contextmanager
def quiet_driver() -> Iterator[Driver]:
    """What drives work, on such a server of its own."""
    build_extension()
    with Server(_SETTINGS) as server:
        yield Driver(server)
