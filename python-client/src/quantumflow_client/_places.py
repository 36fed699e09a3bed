"""Places for so many connections at once, and those that are idle. No I/O, and no waiting.

Whoever finds no place stands in line, and is told when one is his: threads and tasks of several
event loops alike, each by a function of its own.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C")


class InLine:
    """Somebody who waits for a place.

    Args:
        tell: Called, from any thread, when there is one for him; False: nobody is there any more.
    """

    __slots__ = ("has_place", "tell")

    def __init__(self, tell: Callable[[], bool]) -> None:
        self.has_place = False
        self.tell = tell


class Places(Generic[C]):
    """How many connections there may be, and which of them are idle.

    There are never more than `most`: a new one is opened only by who has a place and found none
    idle, and gives up its place only when it is closed or idle.

    Args:
        most: How many.
        keep: How many idle ones are kept at most while nobody waits.
    """

    def __init__(self, most: float, keep: int) -> None:
        self.most = most
        self._keep = keep
        self.forget()

    def forget(self) -> None:
        """Begin anew, as if nothing was ever taken: in a fork, where all of it is the parent's."""
        self._lock = Lock()
        self._free = self.most
        self._line: deque[InLine] = deque()
        self._idle: deque[C] = deque()
        self._is_closed = False

    def take(self, tell: Callable[[], bool]) -> InLine | None:
        """Take a place; None: it is taken. Else `tell` is called when one is given."""
        with self._lock:
            if self._free >= 1:
                self._free -= 1
                return None
            waiting = InLine(tell)
            self._line.append(waiting)
            return waiting

    def leave(self, waiting: InLine) -> bool:
        """Stand in line no longer; whether a place was given in the last moment, which is his."""
        with self._lock:
            if waiting in self._line:
                self._line.remove(waiting)
            return waiting.has_place

    def pass_on(self) -> None:
        """Give a place up: the first in line has it then."""
        with self._lock:
            while self._line:
                first = self._line.popleft()
                if first.tell():
                    first.has_place = True
                    return
            self._free += 1

    def pop(self) -> C | None:
        """An idle connection, the one that was used last, if there is one."""
        with self._lock:
            return self._idle.pop() if self._idle else None

    def keep(self, connection: C) -> bool:
        """Keep a connection, if it is to be kept; before its place is passed on."""
        with self._lock:
            is_kept = not self._is_closed and (bool(self._line) or len(self._idle) < self._keep)
            if is_kept:
                self._idle.append(connection)
            return is_kept

    def open(self) -> None:
        """Keep idle ones again."""
        with self._lock:
            self._is_closed = False

    def close(self) -> list[C]:
        """Keep none from now on; those that were idle. Who waits in line waits on."""
        with self._lock:
            self._is_closed = True
            idle = [*self._idle]
            self._idle.clear()
            return idle
