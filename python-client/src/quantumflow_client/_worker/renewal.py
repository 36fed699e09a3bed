"""The thread that extends a worker's leases, on a connection of its own.

So a report that waits, for a lock or for the network, lets no lease run out.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

from quantumflow_client import _sql
from quantumflow_client._connections import Session
from quantumflow_client._log import logger
from quantumflow_client.errors import QuantumflowError

from .leases import LOOK_EVERY
from .refusals import Verdict, verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from quantumflow_client._call import Call
    from quantumflow_client._connections import Connections
    from quantumflow_client._sql.tasks import TaskRef

    from .leases import Held
    from .offer import Offer


class Renewal:
    """Extends leases, and tells handlers of those that are over.

    Args:
        offer: Whose leases.
        held: Which leases.
        connections: Where to get a connection.
        patience: How many seconds the server may be silent.
        over: Told of tasks whose handlers were told that they are not the worker's any more.
    """

    def __init__(
        self,
        offer: Offer,
        held: Held,
        connections: Connections,
        *,
        patience: float,
        over: Callable[[Collection[TaskRef]], object],
    ) -> None:
        self._offer = offer
        self._held = held
        self._session = Session(connections, lambda: patience)
        self._over = over
        self._is_to_end = False
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._main, name="quantumflow-leases", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Extend no more."""
        self._is_to_end = True
        self._told.set()

    def doubt(self, run_id: str) -> None:
        """Tasks of a run may have been cancelled: ask now. From any thread."""
        if self._held.leases.doubt(run_id):
            self._told.set()

    def join(self) -> None:
        """Wait a moment for the thread to end."""
        if self._thread.ident is not None:
            self._thread.join(LOOK_EVERY * 2)

    def extend(self, tasks: Sequence[TaskRef], ask: Callable[[Call[Any]], Any]) -> None:
        """Extend leases, and tell the handlers whose task is not ours any more."""
        asked_at = time.monotonic()
        states = ask(
            _sql.tasks.extend_leases(self._offer.worker_id, tasks, lease=self._offer.lease)
        )
        over = self._held.leases.extended(tasks, states, asked_at=asked_at)
        lost = {task: "its lease was lost" for task, state in over.items() if state == "lost"}
        self._held.tell_over(lost)
        stopped = {task: "its run was stopped" for task in over if task not in lost}
        self._held.tell_over(stopped, logging.INFO)
        if over:
            self._over(over)

    def tell_lapsed(self, now: float) -> None:
        """Tell the handlers whose lease is over by the clock."""
        self._held.tell_over(self._held.leases.lapse(now))

    def _main(self) -> None:
        # At once, before handlers' transactions may have emptied a small pool.
        with suppress(psycopg.Error):
            self._session.open()
        pause = LOOK_EVERY
        while True:
            self._told.wait(pause)
            self._told.clear()
            if self._is_to_end:
                break
            pause = LOOK_EVERY
            try:
                now = time.monotonic()
                self.tell_lapsed(now)
                next_due = self._held.leases.next_due()
                if tasks := self._held.leases.due(now):
                    if not self._session.is_open:
                        self._session.open()
                    self.extend(tasks, self._session.ask)
                if next_due is not None:
                    pause = min(max(next_due - now, 0.001), LOOK_EVERY)
            except BaseException as error:  # whatever it is: without this thread all is lost
                self._failed(error)
        self._session.close()

    def _failed(self, error: BaseException) -> None:
        is_usual = isinstance(error, (psycopg.Error, QuantumflowError))
        logger.warning(
            "leases were not renewed: %s",
            error,
            exc_info=None if is_usual else error,
            extra=self._offer.extra,
        )
        is_alive = self._session.is_alive
        if not is_usual or verdict_of(error, is_alive=is_alive) is Verdict.LOST:
            self._session.close()
