"""Who hears of events: a thread that is told, or looks, and calls a function with each new one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg

from . import _sql
from ._log import logger
from .errors import ConnectionsBusy, QuantumflowError

if TYPE_CHECKING:
    from ._connections import Connections
    from ._sql.goals import GoalEvent

_EVERY = 1.0
"""How many seconds there are between two looks where nothing is told."""

_OVERLAP = timedelta(seconds=10)
"""How long before the last event a look begins: what began before may have committed after."""


class Listening:
    """Calls a function with each event from now on, in a thread of its own, until it is closed.

    It looks whenever it is told that there is something, and every second: so none is lost, also
    over a connection that breaks. Each is told once.
    """

    def __init__(
        self,
        connections: Connections,
        callback: Callable[[GoalEvent], object],
        kinds: Sequence[str] | None,
    ) -> None:
        self._connections = connections
        self._callback = callback
        self._kinds = kinds
        self._is_over = threading.Event()
        self._last: datetime | None = None
        self._seen: dict[UUID, datetime] = {}
        self._look()
        self._thread = threading.Thread(target=self._main, name="quantumflow-events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hear no more. What is being told is told to its end."""
        self._is_over.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _look(self) -> list[GoalEvent]:
        """What is new, the oldest first."""
        since = None if self._last is None else self._last - _OVERLAP
        found = self._connections.run(_sql.goals.recent_events(self._kinds, None, since, 10000))
        new = [event for event in reversed(found) if event.event_id not in self._seen]
        self._seen |= {event.event_id: event.at for event in new}
        if self._seen:
            self._last = max(self._seen.values())
            oldest = self._last - 2 * _OVERLAP
            self._seen = {event_id: at for event_id, at in self._seen.items() if at >= oldest}
        return new

    def _main(self) -> None:
        while not self._is_over.is_set():
            self._try_to_hear()

    def _try_to_hear(self) -> None:
        try:
            connection = self._connections.open()
            try:
                self._hear(connection)
            finally:
                self._connections.discard(connection)
        except (psycopg.OperationalError, ConnectionsBusy) as error:
            logger.warning("events are looked for again in a second: %s", error)
            self._is_over.wait(_EVERY)
        except QuantumflowError:
            logger.error("events are heard no more", exc_info=True)
            self._is_over.set()

    def _hear(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        connection.autocommit = True
        connection.execute(_sql.session.LISTEN_TO_EVENTS)
        while not self._is_over.is_set():
            for event in self._look():
                self._tell(event)
            for _ in connection.notifies(timeout=_EVERY, stop_after=1):
                pass

    def _tell(self, event: GoalEvent) -> None:
        if self._is_over.is_set():
            return
        try:
            self._callback(event)
        except Exception:
            logger.error("who was told of event %s raised", event.event_id, exc_info=True)
