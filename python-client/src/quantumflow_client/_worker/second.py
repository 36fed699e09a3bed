"""A second connection, in a thread of its own, to report on while the loop claims.

What is reported here is what needs no second look: whatever goes wrong, the reports come back, and
go the ordinary way. It is connected before it is given any, so that none waits for a connection.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING

from quantumflow_client._connections import Session
from quantumflow_client._log import logger

from .actions import DeliverApart, OpenSecond
from .delivery import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantumflow_client._connections import Connections

    from .actions import OfSecond
    from .core import Core
    from .delivery import Delivery
    from .inbox import Inbox
    from .leases import Held
    from .offer import Offer
    from .reports import Report

_END = 0.5
"""How many seconds a worker that ends waits for a call that is under way."""


class Second:
    """The connection and its thread: none until it is to open.

    Args:
        offer: Whose connection.
        connections: Where it comes from.
        core: Is told, by way of the inbox.
        inbox: Of the loop.
        held: Where leases of what was reported are not kept any more.
        delivery: Tells of the answers.
        patience: How many seconds the server may be silent.
    """

    def __init__(
        self,
        offer: Offer,
        connections: Connections,
        core: Core,
        inbox: Inbox,
        held: Held,
        delivery: Delivery,
        *,
        patience: float,
    ) -> None:
        self._offer = offer
        self._connections = connections
        self._core = core
        self._inbox = inbox
        self._held = held
        self._delivery = delivery
        self._patience = patience
        self._batches: SimpleQueue[Sequence[Report] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def take(self, action: OfSecond) -> None:
        """Let something be done, and wait for nothing."""
        if isinstance(action, DeliverApart):
            self._batches.put(action.reports)
        elif isinstance(action, OpenSecond):
            self._open()
        else:
            self.close()

    def close(self) -> None:
        """Close the connection once nothing is under way; wait a moment for that."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._batches.put(None)
            thread.join(_END)

    def _open(self) -> None:
        self._batches = SimpleQueue()
        self._thread = threading.Thread(
            target=self._main, args=(self._batches,), name="quantumflow-reports", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:  # no thread is to be had
            self._thread = None
            self._lost(error)

    def _main(self, batches: SimpleQueue[Sequence[Report] | None]) -> None:
        session = Session(self._connections, lambda: self._patience)
        reports: Sequence[Report] | None = None
        try:
            session.open()
            self._inbox.put(self._core.second_opened)
            while (reports := batches.get()) is not None:
                self._report(session, reports)
        except BaseException as error:
            self._lost(error, returned=reports is not None)
        finally:
            with suppress(BaseException):
                session.close()

    def _report(self, session: Session, reports: Sequence[Report]) -> None:
        """Report.

        Raises:
            BaseException: The connection is lost.
        """
        try:
            outcomes = session.ask(plain(reports))
        except BaseException as error:
            if not session.is_alive:
                raise
            message = "%d reports are refused on the second connection: %s"
            logger.info(message, len(reports), error, extra=self._offer.extra)
            self._inbox.put(lambda _: self._core.returned())
            return
        # At once, lest a renewal finds them lost.
        self._held.leases.drop(report.ref for report in reports)
        self._inbox.put(lambda _: self._delivery.answered(reports, outcomes))

    def _lost(self, error: BaseException, *, returned: bool = False) -> None:
        """There is no second connection, and what it was given comes back."""
        message = "the worker claims and reports by turns, on one connection: %s"
        logger.info(message, error, extra=self._offer.extra)

        def tell(now: float) -> None:
            self._core.second_lost(now)
            if returned:
                self._core.returned()

        self._inbox.put(tell)
