"""Resources: what handlers share, made once a worker, handed to them by name, closed with it.

A `def` resource is made in the thread that runs the worker, before the first claim, and closed
there after the last handler. One that is `async def` belongs to the event loop of the handlers: it
is made and closed there, and once more where a handler blocks the loop and another one takes over.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from quantumflow_client._log import logger

from .hooks import is_async

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from contextlib import AbstractAsyncContextManager, AbstractContextManager


@dataclass(frozen=True, slots=True)
class Maker:
    """What makes a resource.

    Attributes:
        function: It returns the resource, or yields it once, and closes it after that.
        is_async: Whether it belongs to the event loop.
    """

    function: Callable[[], Any]
    is_async: bool

    @classmethod
    def of(cls, function: Callable[[], Any]) -> Maker:
        """A function as a maker.

        Raises:
            TypeError: It cannot be called without arguments.
        """
        try:
            inspect.signature(function).bind()
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"a resource is made without arguments, not {function!r}: {error}"
            ) from None
        return cls(function, inspect.isasyncgenfunction(function) or is_async(function))


@dataclass(slots=True)
class _OnLoop:
    open: list[AbstractAsyncContextManager[Any]] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_open: bool = False


class Resources:
    """The resources of one worker.

    Args:
        makers: By name.
        wanted: The names that handlers ask for; no others are made.

    Attributes:
        values: Those that are not of the loop, once `open` has made them.
        names: What handlers may ask for.
    """

    def __init__(self, makers: Mapping[str, Maker], wanted: Collection[str]) -> None:
        self._makers = {name: maker for name, maker in makers.items() if name in wanted}
        self._open: list[AbstractContextManager[Any]] = []
        self._loops: dict[asyncio.AbstractEventLoop, _OnLoop] = {}
        self.values: dict[str, Any] = {}

    @property
    def need_loop(self) -> bool:
        """Whether there are some of the loop."""
        return any(maker.is_async for maker in self._makers.values())

    def open(self) -> None:
        """Make those that are not of the loop; if one cannot be made, close the others."""
        try:
            for name, maker in self._makers.items():
                if maker.is_async:
                    continue
                if inspect.isgeneratorfunction(maker.function):
                    manager = contextmanager(maker.function)()
                    self.values[name] = manager.__enter__()
                    self._open.append(manager)
                else:
                    self.values[name] = maker.function()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close them, the last one first; what that raises is logged."""
        self.values = {}
        while self._open:
            try:
                self._open.pop().__exit__(None, None, None)
            except BaseException as error:  # noqa: PERF203 - the others are closed all the same
                _tell(error)

    async def on_loop(self) -> Mapping[str, Any]:
        """All of them, with those of the running loop, made if need be."""
        if not self.need_loop:
            return self.values
        here = self._loops.setdefault(asyncio.get_running_loop(), _OnLoop())
        if not here.is_open:
            async with here.lock:
                if not here.is_open:
                    await self._open_on(here)
        return here.values

    async def close_on_loop(self) -> None:
        """Close those of the running loop, the last one first; what that raises is logged."""
        here = self._loops.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await _close(here)

    async def _open_on(self, here: _OnLoop) -> None:
        values = dict(self.values)
        try:
            for name, maker in self._makers.items():
                if not maker.is_async:
                    continue
                if inspect.isasyncgenfunction(maker.function):
                    manager = asynccontextmanager(maker.function)()
                    values[name] = await manager.__aenter__()
                    here.open.append(manager)
                else:
                    values[name] = await maker.function()
        except BaseException:
            await _close(here)
            raise
        here.values, here.is_open = values, True


async def _close(here: _OnLoop) -> None:
    while here.open:
        try:
            await here.open.pop().__aexit__(None, None, None)
        except BaseException as error:  # noqa: PERF203 - the others are closed all the same
            _tell(error)


def _tell(error: BaseException) -> None:
    logger.error("a resource was not closed as it should: %r", type(error), exc_info=error)
