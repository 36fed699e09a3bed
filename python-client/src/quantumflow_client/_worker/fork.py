"""What becomes of a child that a handler has forked, when it comes back to us: it ends.

It has its parent's connections and leases, and nothing to do here.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn


def end_child(error: BaseException | None) -> NoReturn:
    """End this process as its handler did: 0, what it exits with, or 1 after a traceback."""
    code = 0
    try:
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        elif error is not None:
            code = 1
            traceback.print_exception(type(error), error, error.__traceback__)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(BaseException):
                stream.flush()
        os._exit(code & 0xFF)
