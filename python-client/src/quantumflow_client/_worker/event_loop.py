"""An event loop in a thread of its own, for `async def` handlers.

Handlers may block it, stop it, raise through it, or cancel each other's tasks. So it goes on until
it is told to end, says who blocks it, and lets nobody cancel a task of another handler.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
import traceback
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from quantumflow_client._log import logger

from .fork import end_child

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

BLOCKED_AFTER = 1.0
"""After how many seconds without a sign of life the loop is taken for blocked."""

_ASK_EVERY = 0.25
"""How many seconds there are between two questions for a sign of life."""

_PATIENCE = 1.0
"""How many seconds the loop's thread has to end."""

_owner: contextvars.ContextVar[object] = contextvars.ContextVar("quantumflow_owner", default=None)
"""For whom a task of the loop works; tasks that it makes inherit it."""


class Loop:
    """A loop that runs jobs, each for an owner.

    Args:
        context: What jobs' contexts are copies of.
        ended: Told of each job that has ended, on the loop: its owner, and what it raised, if it
            raised or never began.
        at_end: Is awaited on the loop before it ends, with whether no other has taken over.

    Attributes:
        has_told: Whether somebody was told that it is blocked, since its last sign of life.
    """

    def __init__(
        self,
        context: contextvars.Context,
        ended: Callable[[Any, BaseException | None], None],
        at_end: Callable[..., Coroutine[Any, Any, None]],
    ) -> None:
        self._context = context
        self._ended = ended
        self._at_end = at_end
        self._jobs: deque[tuple[object, Callable[[], Coroutine[Any, Any, None]]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_ending = False
        self._is_retired = False
        self._process = os.getpid()
        self._ask_at = 0.0
        self._asked_at: float | None = None
        self._looked_at = 0.0
        self.has_told = False
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(_Task)  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._main, name="quantumflow-loop", daemon=True)
        self._thread.start()
        _loops.add(self)

    def run(self, owner: object, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a job as soon as the loop has time."""
        self._jobs.append((owner, job))
        if len(self._jobs) == 1:
            self._loop.call_soon_threadsafe(self._spawn)

    def ask(self, question: Coroutine[Any, Any, Any]) -> Any:
        """Wait for something on the loop, from another thread."""
        return asyncio.run_coroutine_threadsafe(question, self._loop).result()

    def end(self) -> None:
        """Stop what runs, and the loop; wait a moment for it."""
        self._is_ending = True
        self._stop()
        self._thread.join(_PATIENCE)

    def retire(self) -> None:
        """End when nothing runs any more: another loop has taken over."""
        self._is_retired = True
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end_if_done)

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    # Who blocks it

    def look(self, now: float) -> None:
        """Ask for a sign of life, from time to time, while something is to run."""
        was_away = now - self._looked_at > BLOCKED_AFTER
        self._looked_at = now
        if self._asked_at is not None:
            # Who looks was stopped, or busy: the loop may have been stopped with it.
            self._asked_at = now if was_away else self._asked_at
        elif now >= self._ask_at and (self._tasks or self._jobs):
            self._ask_at = now + _ASK_EVERY
            self._asked_at = now
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._answer)

    def is_blocked(self, now: float) -> bool:
        """Whether there was no sign of life for too long."""
        asked_at = self._asked_at
        return asked_at is not None and now >= asked_at + BLOCKED_AFTER

    def culprit(self) -> object:
        """Whose task the loop is busy with; None if that cannot be told."""
        return getattr(self._current(), "owner", None)

    def stack(self) -> str:
        """Where the loop's thread is."""
        return stack_of_thread(self._thread.ident)

    def stack_of(self, task: asyncio.Task[Any] | None) -> str:
        """Where a task is: in the loop's thread, or where it waits."""
        if task is None or task is self._current():
            return self.stack()
        lines = [traceback.format_stack(frame, limit=1) for frame in task.get_stack()]
        return "".join(line for frame in lines for line in frame)

    def _current(self) -> asyncio.Task[Any] | None:
        return asyncio.current_task(self._loop)

    def _answer(self) -> None:
        self._asked_at = None
        self.has_told = False

    # In the loop's thread

    def _spawn(self) -> None:
        while self._jobs:
            owner, job = self._jobs.popleft()
            context = self._context.copy()
            context.run(_owner.set, owner)
            # A copy of the context in which it is made is a task's own.
            task: asyncio.Task[None] = context.run(_Task, self._loop, job())
            # The loop itself keeps only weak references.
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error: BaseException | None = None
        try:
            error = task.exception()
        except asyncio.CancelledError as cancelled:
            error = cancelled
        self._ended(getattr(task, "owner", None), error)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._is_retired and not self._tasks and not self._jobs:
            self._is_ending = True
            self._loop.stop()

    def _stop(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self._is_ending:
                self._go_on()
            self._wind_up()
        except BaseException as error:
            logger.error("the event loop did not end well: %r", type(error), exc_info=error)
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    def _go_on(self) -> None:
        """Run the loop, which a handler may stop, and a callback exit from."""
        try:
            self._loop.run_forever()
        except BaseException as error:
            if os.getpid() == self._process:
                logger.error(
                    "something raised %s through the event loop, which goes on",
                    type(error).__name__,
                    exc_info=error,
                )
        if os.getpid() != self._process:
            end_child(None)

    def _wind_up(self) -> None:
        loop = self._loop
        if tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.wait(tasks, timeout=_PATIENCE / 4))
        loop.run_until_complete(self._at_end(is_last=not self._is_retired))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())

    def leave_child(self) -> None:
        """In a forked child: run nothing but what has forked, to where it next waits."""
        if threading.get_ident() == self._thread.ident:
            self._loop.stop()
            ready = getattr(self._loop, "_ready", None)
            if ready is not None:
                ready.clear()


class _Task(asyncio.Task[Any]):
    """A task that only its own handler, and the worker, can cancel."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> None:
        context = options.get("context")
        self.owner = _owner.get() if context is None else context.get(_owner)
        super().__init__(coroutine, loop=loop, **options)

    def cancel(self, *args: Any, **options: Any) -> bool:
        by = _owner.get()
        if by is None or self.owner is None or by is self.owner:
            return super().cancel(*args, **options)
        logger.warning("%s may not cancel what runs for %s", by, self.owner)
        return False


_loops: weakref.WeakSet[Loop] = weakref.WeakSet()


def _in_child() -> None:
    for loop in list(_loops):
        loop.leave_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def stack_of_thread(ident: int | None) -> str:
    """Where a thread is, as a traceback shows it."""
    frame = sys._current_frames().get(ident or 0)  # noqa: SLF001 - there is no other way to see it
    return "(it has ended)\n" if frame is None else "".join(traceback.format_stack(frame))
