"""Signals that stop a worker; they are its process's alone.

A child that a handler forks would inherit what Python does at a signal, and SIGTERM would then stop
a worker that is not there: so a child gets back what was before.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from .core import Stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Listening:
    """What this process does at signals, until `restore`, or a fork.

    Args:
        handlers: What to call, by signal.
    """

    def __init__(
        self, handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], object]]
    ) -> None:
        self._previous = {number: signal.signal(number, do) for number, do in handlers.items()}
        _listening.append(self)

    def restore(self) -> None:
        """Do again what was done before; a second time changes nothing."""
        previous, self._previous = self._previous, {}
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        with suppress(ValueError):
            _listening.remove(self)


_listening: list[Listening] = []
_forking = threading.local()


def _before_fork() -> None:
    # A signal that comes in between waits until the child does what it should at it.
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING if _listening else ())


def _after_fork() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _after_fork_in_child() -> None:
    while _listening:
        _listening[-1].restore()
    _after_fork()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)


@contextmanager
def stopping_on_signals(stop: Callable[[Stopping], object]) -> Iterator[None]:
    """SIGTERM and SIGINT stop the worker; a second one sooner, a third one the hard way."""
    received = 0

    def listen(_number: int, _frame: FrameType | None) -> None:
        nonlocal received
        received += 1
        stop(Stopping.SOON if received == 1 else Stopping.NOW)
        if received == 2:
            listening.restore()

    listening = Listening(dict.fromkeys(STOPPING, listen))
    try:
        yield
    finally:
        listening.restore()
