"""Who waits for a run's end and is told of it: a thread, or a task of an event loop.

All of a process share one connection for that, see `_listener`; it is opened, by another thread,
when somebody has waited for a moment, and closed with the last who waits.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from ._listener import Ear, listening

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from typing_extensions import Self

    from ._connections import AsyncConnections, Connections, Source
    from ._waiting import Sleep


class _Listening:
    """Hears of one run, from the first long sleep on.

    Args:
        run_id: The run.
        connections: Which database.
        wake: Called, from any thread, when the run may have ended, or hearing begins or ends.
    """

    def __init__(self, run_id: UUID, connections: Source, wake: Callable[[], None]) -> None:
        self.is_heard = False
        self._run_id = str(run_id)
        self._connections = connections
        self._wake = wake
        self._stack = ExitStack()
        self._has_begun = False

    def begin(self) -> None:
        """Listen, if that has not begun."""
        if not self._has_begun:
            self._has_begun = True
            dsn = self._connections.dsn()
            ear = Ear((), wake=self._wake, listening=self._hear, of_run=self._tell)
            self._stack.enter_context(listening(ear, here=dsn, to=dsn, haste=0))

    def end(self) -> None:
        """Listen no more."""
        self._stack.close()

    def _hear(self, is_heard: bool) -> None:
        self.is_heard = is_heard
        self._wake()

    def _tell(self, run_id: str) -> None:
        if run_id == self._run_id:
            self._wake()


class Told:
    """A thread that waits for a run; a context, at whose end nothing is listened to any more."""

    def __init__(self, run_id: UUID, connections: Connections) -> None:
        self._event = threading.Event()
        self._listening = _Listening(run_id, connections, self._event.set)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.end()

    def sleep(self, sleep: Sleep) -> bool:
        """Sleep so long, or until the run may have ended; whether ends are heard of."""
        if sleep.is_long:
            self._listening.begin()
        self._event.wait(sleep.seconds)
        self._event.clear()
        return self._listening.is_heard


class AsyncTold:
    """As `Told`, a task of an event loop."""

    def __init__(self, run_id: UUID, connections: AsyncConnections) -> None:
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._listening = _Listening(run_id, connections, self._wake)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.end()

    async def sleep(self, sleep: Sleep) -> bool:
        """Sleep so long, or until the run may have ended; whether ends are heard of."""
        if sleep.is_long:
            self._listening.begin()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._event.wait(), sleep.seconds)
        self._event.clear()
        return self._listening.is_heard

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._event.set)
