"""Signals that stop a worker."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .core import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def stopping_on_signals(stop: Callable[[Stopping], object]) -> Iterator[None]:
    """SIGTERM and SIGINT stop the worker; a second one sooner, a third one the hard way."""
    received = 0

    def listen(_number: int, _frame: FrameType | None) -> None:
        nonlocal received
        received += 1
        stop(Stopping.SOON if received == 1 else Stopping.NOW)
        if received == 2:
            restore()

    previous = {number: signal.signal(number, listen) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    try:
        yield
    finally:
        restore()
