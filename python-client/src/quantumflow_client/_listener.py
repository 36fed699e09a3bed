"""Hears what is told: one connection a process and database, idle in LISTEN, for all who want to.

These are workers, of new work and of what they have that was cancelled, and who waits for a run's
end. It only ever makes them look sooner. Whether notifications arrive at all is tried out whenever
it has connected, because a pooler in transaction mode takes a LISTEN and lets nothing through.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from quantumflow_client import _connections, _sql
from quantumflow_client._log import logger

if TYPE_CHECKING:
    from quantumflow_client._connections import Connection

PATIENCE = 5.0
"""How many seconds the server may take for an answer, or to pass a notification on."""

ASK_EVERY = 30.0
"""How many seconds there are between two looks whether the connection is alive."""

RETRY_FIRST, RETRY_MOST = 0.1, 30.0
"""How many seconds after a lost connection the next one comes: doubled each time."""

RETRY_DEAF = 600.0
"""How many seconds after nothing was heard it is tried again."""

_OF_RUNS = "run_ended", "tasks_cancelled"
"""What is told of runs, of which somebody wants to hear; the rest of the channel is of goals."""

HASTE = 1.0
"""How many seconds who listens no more waits at most for the connection to be closed."""

_NAME = "quantumflow listener"
"""What its sessions are called, for people who look at who is idle, or read the server's log."""


@dataclass(frozen=True, eq=False, slots=True)
class Ear:
    """Who wants to hear of what. All is called from the listener's thread.

    Attributes:
        queues: Of new work in these queues.
        wake: Called when there may be some, and when something may have been missed.
        listening: Called with whether notifications arrive, when that has changed.
        of_run: Called with the id of a run that has ended, or of which tasks were cancelled.
    """

    queues: Sequence[str]
    wake: Callable[[], None]
    listening: Callable[[bool], None]
    of_run: Callable[[str], object] = lambda _: None


_listeners: dict[tuple[str, str], _Listener] = {}
_deaf_until: dict[tuple[str, str], float] = {}
_lock = threading.Lock()


def _forget() -> None:
    """A fork has its parent's listeners, but not their threads."""
    global _lock  # noqa: PLW0603 - somebody of the parent's may hold it
    _lock = threading.Lock()
    _listeners.clear()


os.register_at_fork(after_in_child=_forget)


@contextmanager
def listening(ear: Ear, *, here: str, to: str, haste: float = HASTE) -> Iterator[None]:
    """Listen meanwhile, on this process's one connection for that.

    Args:
        ear: Who is told.
        here: The DSN to listen on.
        to: The DSN on which the work is done: the same, or another way to the same database.
        haste: How many seconds to wait at most for the connection's end, if nobody else has it.
    """
    key = here, to
    with _lock:
        listener = _listeners.get(key) or _listeners.setdefault(key, _Listener(here, to))
        listener.add(ear)
    try:
        yield
    finally:
        with _lock:
            is_last = listener.remove(ear)
            if is_last:
                _listeners.pop(key, None)
        if is_last:
            listener.end(haste)


class _Listener:
    """A thread that listens until it is told to end."""

    def __init__(self, here: str, to: str) -> None:
        self._here = here
        self._to = to
        self._ears: list[Ear] = []
        self._ears_lock = threading.Lock()
        self._is_listening = False
        self._has_warned = False
        self._beside_answers: list[tuple[str, str]] = []
        self._interrupted, self._interrupt = socket.socketpair()
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._main, name="quantumflow-listener", daemon=True)
        self._thread.start()

    def add(self, ear: Ear) -> None:
        with self._ears_lock:
            self._ears.append(ear)
            if self._is_listening:
                ear.listening(True)

    def remove(self, ear: Ear) -> bool:
        """Whether it was the last."""
        with self._ears_lock:
            self._ears.remove(ear)
            return not self._ears

    def end(self, haste: float) -> None:
        self._has_ended.set()
        self._interrupt.close()
        # Not for as long as it may take to connect.
        self._thread.join(haste)

    def _main(self) -> None:
        pause = RETRY_FIRST
        key = self._here, self._to
        # Who waits for runs one after the other need not find out each time.
        self._has_ended.wait(max(_deaf_until.get(key, 0) - time.monotonic(), 0))
        while not self._has_ended.is_set():
            try:
                with (
                    _connections.connect(self._here, name=_NAME) as connection,
                    selectors.DefaultSelector() as selector,
                ):
                    selector.register(connection.fileno(), selectors.EVENT_READ)
                    selector.register(self._interrupted, selectors.EVENT_READ)
                    self._beside_answers = []
                    connection.add_notify_handler(self._hear_beside)
                    if self._is_heard(connection, selector):
                        pause = RETRY_FIRST
                        self._listen(connection, selector)
                    else:
                        pause = RETRY_DEAF
                        _deaf_until[key] = time.monotonic() + pause
                        self._warn()
            except (psycopg.Error, OSError) as error:
                pause = min(pause * 2, RETRY_MOST)
                logger.info("cannot listen, again in %.1f s: %s", pause, error)
            finally:
                self._tell(False)
            self._has_ended.wait(pause)
        self._interrupted.close()

    def _hear_beside(self, notice: psycopg.Notify) -> None:
        self._beside_answers.append((notice.channel, notice.payload))

    def _is_heard(self, connection: Connection, selector: selectors.BaseSelector) -> bool:
        """Whether a notification of somebody else arrives while the connection is idle."""
        token = f"?{uuid.uuid4()}"
        self._ask(connection)
        with (
            _connections.connect(self._to, name=_NAME) as other,
            _connections.waiting_at_most(PATIENCE, other),
        ):
            other.execute(_sql.session.NOTIFY, (token,))
        give_up = time.monotonic() + PATIENCE
        while (left := give_up - time.monotonic()) > 0 and not self._has_ended.is_set():
            if (_sql.session.CHANNEL, token) in self._heard(connection, selector, left):
                return True
        with suppress(psycopg.Error):
            connection.execute(_sql.session.UNLISTEN_ALL)
        return self._has_ended.is_set()

    def _listen(self, connection: Connection, selector: selectors.BaseSelector) -> None:
        self._tell(True)
        # For what was told while nobody listened.
        self._wake(None)
        while not self._has_ended.is_set():
            if heard := self._heard(connection, selector, ASK_EVERY):
                self._wake({said for channel, said in heard if channel == _sql.session.CHANNEL})
                self._pass_on(said for channel, said in heard if channel == _sql.session.EVENTS)
            elif not self._has_ended.is_set():
                self._ask(connection)

    def _ask(self, connection: Connection) -> None:
        with _connections.waiting_at_most(PATIENCE, connection):
            connection.execute(_sql.session.LISTEN_TO_EVENTS)
            connection.execute(_sql.session.LISTEN)

    def _heard(
        self, connection: Connection, selector: selectors.BaseSelector, seconds: float
    ) -> list[tuple[str, str]]:
        """What was heard, each with its channel.

        At the latest after so many seconds, or when this is to end.
        """
        if not self._beside_answers:
            selector.select(seconds)
            connection.pgconn.consume_input()
        heard, self._beside_answers = self._beside_answers, []
        while (notice := connection.pgconn.notifies()) is not None:
            heard.append((notice.relname.decode(), notice.extra.decode(errors="replace")))
        return heard

    def _wake(self, queues: set[str] | None) -> None:
        with self._ears_lock:
            for ear in self._ears:
                if queues is None or not queues.isdisjoint(ear.queues):
                    ear.wake()

    def _pass_on(self, events: Iterable[str]) -> None:
        for event in events:
            with suppress(ValueError):  # anybody may notify
                said = json.loads(event)
                if isinstance(said, dict) and said.get("kind") in _OF_RUNS:
                    with self._ears_lock:
                        for ear in self._ears:
                            ear.of_run(str(said.get("run_id")))

    def _tell(self, is_listening: bool) -> None:
        with self._ears_lock:
            if self._is_listening is not is_listening:
                self._is_listening = is_listening
                for ear in self._ears:
                    ear.listening(is_listening)

    def _warn(self) -> None:
        if not self._has_warned and not self._has_ended.is_set():
            self._has_warned = True
            logger.warning(
                "notifications do not arrive (is there a pooler in transaction mode between?): "
                "workers, and who waits for runs, look several times a second instead"
            )
