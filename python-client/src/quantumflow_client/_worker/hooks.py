"""Hooks: functions around handlers, that may change what goes in and what comes out.

A hook is `def` or `async def`, and is around handlers of both kinds. Where all functions of a task
are `def`, they run one within the other in its slot's thread. Else the event loop calls them:
`async def` ones there, the others in threads of their own, for one waits for the next in them. A
`def` one with an `async def` twin, its attribute `awaited`, spares the thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from quantumflow_client.context import Context

Hook = Callable[..., Any]
"""Called with the task's context, and a function that calls the next hook, or the handler."""


class Hooks:
    """The hooks of a client, the outermost first.

    Attributes:
        need_loop: Whether one of them is `async def`.
    """

    def __init__(self) -> None:
        self._hooks: list[Hook] = []
        self.need_loop = False

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def add(self, hook: Hook) -> None:
        """Put a hook within those that there are.

        Raises:
            TypeError: It cannot be called with a context and a function.
        """
        try:
            inspect.signature(hook).bind(None, None)
        except (TypeError, ValueError) as error:
            raise TypeError(f"a hook is a function of (ctx, call), not {hook!r}: {error}") from None
        if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
            raise TypeError(f"{hook!r} cannot be a hook: write `return call()`, not yield")
        self._hooks.append(hook)
        self.need_loop |= is_async(hook)

    def call(self, ctx: Context, function: Callable[[], Any]) -> Any:
        """Call a function, with the hooks around it; all of them are `def`."""
        for hook in reversed(self._hooks):
            function = partial(hook, ctx, _Once(function))
        return function()

    async def acall(self, ctx: Context, function: Callable[[], Awaitable[Any]]) -> Any:
        """Call an asynchronous function, with the hooks around it."""
        for hook in reversed([getattr(hook, "awaited", hook) for hook in self._hooks]):
            inner = _Once(function)
            function = partial(hook if is_async(hook) else partial(_in_thread, hook), ctx, inner)
        return await function()


class _Once:
    """A function that is called once at most: a handler's task is one attempt."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function: Callable[[], Any] | None = function

    def __call__(self) -> Any:
        function, self._function = self._function, None
        if function is None:
            raise RuntimeError("a hook has called what it is around before: once is enough")
        return function()


async def _in_thread(hook: Hook, ctx: Context, inner: Callable[[], Awaitable[Any]]) -> Any:
    """Call a `def` hook, for which what it is around is called on the loop."""
    loop = asyncio.get_running_loop()
    within: list[asyncio.Task[Any]] = []
    is_cancelled = False

    async def begin() -> Any:
        task = asyncio.current_task()
        assert task is not None
        within.append(task)
        if is_cancelled:
            raise asyncio.CancelledError
        return await inner()

    def call() -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(begin(), loop).result()
        except concurrent.futures.CancelledError:
            raise asyncio.CancelledError from None

    def cancel() -> None:
        nonlocal is_cancelled
        is_cancelled = True
        for task in within:
            task.cancel()

    return await in_thread(partial(hook, ctx, call), cancel)


async def in_thread(function: Callable[[], Any], cancel: Callable[[], object] = bool) -> Any:
    """Call a function in a thread of its own, and wait for its end, whoever is cancelled meanwhile.

    The loop's own threads are few, and who waits in one for another would wait for ever.

    Args:
        function: The function.
        cancel: Called when who waits for it is cancelled.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(value)
        elif isinstance(error, StopIteration):
            done.set_exception(RuntimeError(f"raised {error!r}"))
        else:
            done.set_exception(error)

    def main() -> None:
        value, error = None, None
        try:
            value = context.run(function)
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(settle, value, error)
        except RuntimeError:  # the loop has ended
            return

    threading.Thread(target=main, name="quantumflow-hook", daemon=True).start()
    while not done.done():
        try:
            await asyncio.wait({done})
        except asyncio.CancelledError:  # noqa: PERF203 - once
            cancel()
    return done.result()


def is_async(function: Callable[..., Any]) -> bool:
    """Whether to call a function makes something to await."""
    call = getattr(function, "func", function)
    if not inspect.isroutine(call):
        call = type(call).__call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
