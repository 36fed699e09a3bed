"""Slots: so many handlers at once run what was claimed, in the order in which it was claimed.

`def` handlers run in threads, `async def` ones on one event loop in a thread of its own. A thread
goes from task to task by itself: to wake one for each task would take longer than a quick handler.
A handler that goes on although its task is over is let go: its slot is used anew, in another
thread, or on another loop if it blocks this one, while it keeps its own until it ends.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import inf
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from quantumflow_client._log import logger

from .event_loop import Loop, stack_of_thread

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Coroutine, Iterable

    from .execution import Execution

_QUICK = 0.0002
"""How many seconds a handler takes at most that is not worth another thread."""

_LOOK = 0.001
"""How many seconds pass before a thread that stands by looks again whether it is needed."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """The event loop does not go on.

    Attributes:
        by: Whose handler it is busy with; None if that cannot be told.
        stack: Where its thread is.
    """

    by: Execution | None
    stack: str


class Slots:
    """What runs, and what waits for a slot.

    Args:
        count: How many handlers run at once.
        at_end: Is awaited on the event loop before it ends.
        context: What the context of each `async def` handler is a copy of.
    """

    def __init__(
        self,
        count: int,
        at_end: Callable[..., Coroutine[Any, Any, None]],
        context: contextvars.Context,
    ) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._waiting: deque[Execution] = deque()
        self._starting: dict[Execution, Loop] = {}
        self._running: dict[Execution, Loop | None] = {}
        self._let_go: dict[Execution, bool] = {}
        self._start_by = inf
        self._begun = 0
        self._seconds = 0.0
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._stands_by = False
        self._begun_before = 0
        self._new_loop = partial(Loop, context, self._ended_async, at_end)
        self._loop: Loop | None = None
        self._stuck_loops: list[Loop] = []

    def begin_loop(self, first: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Have an event loop, and await something on it before all else.

        Raises:
            BaseException: What that raised.
        """
        self._loop = self._new_loop()
        self._loop.ask(first())

    def add(self, executions: Iterable[Execution]) -> None:
        """Start them as soon as there is room."""
        with self._lock:
            for execution in executions:
                self._waiting.append(execution)
                self._start_by = min(self._start_by, execution.start_by)
            self._next(here=False)

    def take_back(self) -> list[Execution]:
        """What waits for a slot; it will not start."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
            self._start_by = min((e.start_by for e in self._starting), default=inf)
        return waiting

    def take_back_overdue(self, now: float) -> list[Execution]:
        """What should have started by now and has no slot, or no loop; it will not start."""
        is_blocked = self.is_blocked(now)
        if now < self._start_by and not (is_blocked and self._starting):
            return []
        kept: deque[Execution] = deque()
        with self._lock:
            overdue = [
                execution
                for execution, loop in self._starting.items()
                if loop.is_blocked(now) or now >= execution.start_by
            ]
            for execution in overdue:
                del self._starting[execution]
            self._free += len(overdue)
            for n, execution in enumerate(self._waiting):
                # What there is a slot for is about to start.
                is_late = n >= self._free and now >= execution.start_by
                (overdue if is_late else kept).append(execution)
            self._waiting = kept
            self._next(here=False)
            left = chain(self._waiting, self._starting)
            self._start_by = min((e.start_by for e in left if now < e.start_by), default=inf)
        return overdue

    def running(self) -> list[Execution]:
        """What runs in a slot, what began first at the head."""
        with self._lock:
            return list(self._running)

    @property
    def start_by(self) -> float:
        """When to take back something, unless it has started."""
        return self._start_by

    def let_go(self, execution: Execution, now: float) -> str | None:
        """Use a handler's slot anew, although it runs on; where it is, unless it has just ended.

        A loop that it blocks is left to it. So is one that something blocks for which no handler
        answers any more.
        """
        with self._lock:
            if execution not in self._running:
                return None
            loop = self._running.pop(execution)
            self._free += 1
            if loop is None:
                self._threads -= 1
                self._let_go[execution] = True
                stack = stack_of_thread(execution.thread)
            else:
                stack = loop.stack_of(execution.async_task)
                is_starved = loop.is_blocked(now) and loop.culprit() in self._running
                self._let_go[execution] = not is_starved
                if loop.is_blocked(now) and not is_starved:
                    self._retire(loop)
            self._next(here=False)
        return stack

    def hung(self, now: float) -> int:
        """How many handlers hang: let go, their time is over, and it is their own fault."""
        with self._lock:
            handlers = sum(
                is_to_blame and now >= execution.deadline
                for execution, is_to_blame in self._let_go.items()
            )
            self._stuck_loops = [loop for loop in self._stuck_loops if loop.is_alive]
            return handlers + len(self._stuck_loops)

    def is_blocked(self, now: float) -> bool:
        """Whether the event loop does not go on."""
        loop = self._loop
        return loop is not None and loop.is_blocked(now)

    def look(self, now: float) -> Blocked | None:
        """Look after the event loop; who blocks it, once each time."""
        loop = self._loop
        if loop is None:
            return None
        loop.look(now)
        if not loop.is_blocked(now):
            return None
        culprit, stack = loop.culprit(), loop.stack()
        with self._lock:
            is_anybodys = culprit in self._running or (
                culprit is None and loop in self._running.values()
            )
            if not is_anybodys:
                self._stuck_loops.append(loop)
                self._retire(loop)
        if loop.has_told:
            return None
        loop.has_told = True
        return Blocked(culprit, stack)  # type: ignore[arg-type]

    def end(self) -> None:
        """Let go of the threads; those that run a handler end after it."""
        for _ in range(self._threads):
            self._calls.put(False)
        if self._loop is not None:
            self._loop.end()

    def _retire(self, loop: Loop) -> None:
        loop.retire()
        # What was about to start on it is to be taken back.
        self._start_by = -inf
        if loop is self._loop:
            self._loop = None

    def _next(self, *, here: bool) -> Execution | None:
        """Start what there is room for; the caller runs the first one of `def`, if it may."""
        mine = None
        while self._free and self._waiting:
            first = self._waiting[0]
            if first.is_async:
                self._start_async(first)
            elif here and mine is None:
                mine = first
                self._running[first] = None
            else:
                self._call_thread()
                break
            self._waiting.popleft()
            self._free -= 1
            self._begun += 1
        return mine

    # Threads

    def _call_thread(self) -> None:
        if self._stands_by:
            return
        self._stands_by = True
        self._begun_before = self._begun
        if self._idle:
            self._idle -= 1
        else:
            self._threads += 1
            # Daemons: a hung handler must not keep the process.
            name = f"quantumflow-{self._threads}"
            threading.Thread(target=self._main, name=name, daemon=True).start()
        self._calls.put(True)

    def _main(self) -> None:
        while self._calls.get():
            execution = self._stand_by()
            while execution is not None:
                try:
                    execution.run()
                except BaseException as error:
                    logger.error("a handler's thread met %r", type(error), exc_info=error)
                if not self._ended(execution):
                    return
                execution = self._go_on(execution.seconds)

    def _stand_by(self) -> Execution | None:
        """Begin, unless other threads get on so quickly that one more would be in their way."""
        while True:
            with self._lock:
                is_needed = self._begun == self._begun_before or self._seconds > _QUICK
                if is_needed or not self._waiting or not self._free:
                    self._stands_by = False
                    return self._begin()
                self._begun_before = self._begun
            time.sleep(_LOOK)

    def _ended(self, execution: Execution) -> bool:
        """Take a slot back; False if it was used anew meanwhile."""
        with self._lock:
            if execution not in self._running:
                self._let_go.pop(execution, None)
                return False
            del self._running[execution]
            self._free += 1
            return True

    def _go_on(self, seconds: float) -> Execution | None:
        with self._lock:
            # Not much at once, lest one that was interrupted counts for many.
            self._seconds += (min(seconds, _QUICK * 4) - self._seconds) / 16
            return self._begin()

    def _begin(self) -> Execution | None:
        execution = self._next(here=True)
        if execution is None:
            self._idle += 1
        return execution

    # The loop

    def _start_async(self, execution: Execution) -> None:
        if self._loop is None:
            self._loop = self._new_loop()
        self._starting[execution] = self._loop
        self._loop.run(execution, partial(self._run_async, execution))

    async def _run_async(self, execution: Execution) -> None:
        with self._lock:
            loop = self._starting.pop(execution, None)
            if loop is None:  # taken back
                return
            self._running[execution] = loop
        await execution.run_async()

    def _ended_async(self, execution: Execution, error: BaseException | None) -> None:
        with self._lock:
            had_begun = self._starting.pop(execution, None) is None
            has_slot = not had_begun or execution in self._running
            self._running.pop(execution, None)
            self._let_go.pop(execution, None)
        if error is not None and has_slot:
            execution.broke(error, had_begun=had_begun)
        if has_slot:
            with self._lock:
                self._free += 1
                self._next(here=False)
