"""Slots: so many handlers at once run what was claimed, in the order in which it was claimed.

`def` handlers run in threads, `async def` ones on one event loop in a thread of its own. A thread
goes from task to task by itself: to wake one for each task would take longer than a quick handler.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from functools import partial
from math import inf
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from ._execution import Execution

_QUICK = 0.0002
"""How many seconds a handler takes at most that is not worth another thread."""

_LOOK = 0.001
"""How many seconds pass before a thread that stands by looks again whether it is needed."""

_PATIENCE = 1.0
"""How many seconds the event loop's thread has to end."""


class Slots:
    """What runs, and what waits for a slot.

    Args:
        count: How many handlers run at once.
        at_end: Is awaited on the event loop before it ends.
    """

    def __init__(self, count: int, at_end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._waiting: deque[Execution] = deque()
        self._start_by = inf
        self._begun = 0
        self._seconds = 0.0
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._stands_by = False
        self._begun_before = 0
        self._loop = _Loop(at_end)

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
            self._start_by = inf
        return waiting

    def take_back_overdue(self, now: float) -> list[Execution]:
        """What should have started by now and has no slot; it will not start."""
        if now < self._start_by:
            return []
        overdue: list[Execution] = []
        kept: deque[Execution] = deque()
        with self._lock:
            for n, execution in enumerate(self._waiting):
                # What there is a slot for is about to start.
                is_late = n >= self._free and now >= execution.start_by
                (overdue if is_late else kept).append(execution)
            self._waiting = kept
            self._start_by = min((e.start_by for e in kept if now < e.start_by), default=inf)
        return overdue

    @property
    def start_by(self) -> float:
        """When to take back something, unless it has started."""
        return self._start_by

    def end(self) -> None:
        """Let go of the threads; those that run a handler end after it."""
        for _ in range(self._threads):
            self._calls.put(False)
        self._loop.end()

    def _next(self, *, here: bool) -> Execution | None:
        """Start what there is room for; the caller runs the first one of `def`, if it may."""
        mine = None
        while self._free and self._waiting:
            first = self._waiting[0]
            if first.handler.is_async:
                self._loop.run(partial(self._run_async, first))
            elif here and mine is None:
                mine = first
            else:
                self._call_thread()
                break
            self._waiting.popleft()
            self._free -= 1
            self._begun += 1
        return mine

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
                execution.run()
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

    def _go_on(self, seconds: float) -> Execution | None:
        with self._lock:
            self._free += 1
            # Not much at once, lest one that was interrupted counts for many.
            self._seconds += (min(seconds, _QUICK * 4) - self._seconds) / 16
            return self._begin()

    def _begin(self) -> Execution | None:
        execution = self._next(here=True)
        if execution is None:
            self._idle += 1
        return execution

    async def _run_async(self, execution: Execution) -> None:
        try:
            await execution.run_async()
        finally:
            with self._lock:
                self._free += 1
                self._next(here=False)


class _Loop:
    """An event loop in a thread of its own, from when it is first needed."""

    def __init__(self, at_end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._at_end = at_end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._jobs: deque[Callable[[], Coroutine[Any, Any, None]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._main, args=(self._loop,), name="quantumflow-loop", daemon=True
            )
            self._thread.start()
        self._jobs.append(job)
        if len(self._jobs) == 1:
            self._loop.call_soon_threadsafe(self._spawn, self._loop)

    def end(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_PATIENCE)

    def _spawn(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._jobs:
            # The loop itself keeps only weak references.
            task = loop.create_task(self._jobs.popleft()())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _main(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            if tasks := asyncio.all_tasks(loop):
                for task in tasks:
                    task.cancel()
                loop.run_until_complete(asyncio.wait(tasks, timeout=_PATIENCE / 4))
            loop.run_until_complete(self._at_end())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
