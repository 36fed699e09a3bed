"""What happened in other threads, until the worker's loop hears of it."""

from __future__ import annotations

import time
from collections import deque
from math import inf
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .core import Core
    from .reports import Report


class Inbox:
    """Events, and results apart from them: no thread is woken for each of these."""

    def __init__(self) -> None:
        self._events: SimpleQueue[Callable[[float], object]] = SimpleQueue()
        self._results: deque[tuple[Report, float]] = deque()
        self._awaited = inf

    def put(self, event: Callable[[float], object]) -> None:
        """Something happened: what to do about it, in the loop's thread, at which time."""
        self._events.put(event)

    def put_result(self, report: Report, seconds: float) -> None:
        """A handler has ended, which ran for so long."""
        self._results.append((report, seconds))
        if len(self._results) >= self._awaited:
            self._awaited = inf
            self._events.put(_nothing)

    def wait(self, seconds: float, results: int | None) -> None:
        """Wait until something happens: an event, or so many results; None: an event only."""
        self._awaited = inf if results is None else results
        try:
            # Handlers that end from here on put an event; those before did not.
            if len(self._results) < self._awaited:
                self._events.get(timeout=seconds)(time.monotonic())
        except Empty:
            pass
        finally:
            self._awaited = inf

    def empty_into(self, core: Core) -> None:
        """Let the core know of all there is."""
        while not self._events.empty():
            self._events.get()(time.monotonic())
        self.empty_results_into(core)

    def empty_results_into(self, core: Core) -> None:
        """Let the core know of the results alone: of handlers that have ended by now."""
        if self._results:
            results = [self._results.popleft() for _ in range(len(self._results))]
            core.ended([report for report, _ in results], sum(seconds for _, seconds in results))


def _nothing(_: float) -> None:
    """What there is to do when a handler has ended."""
