"""Stubs: what stands in place of a step's handler in a rehearsal."""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Any

from quantumflow_client._worker.handlers import Handler, name_of
from quantumflow_client._worker.hooks import is_async
from quantumflow_client._worker.steps import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quantumflow_client import _json
    from quantumflow_client._worker.handlers import Registry
    from quantumflow_client._worker.steps import Step
    from quantumflow_client.context import Context


class Ends(enum.Enum):
    """How an attempt ends without a report."""

    TIMES_OUT = enum.auto()
    DIES = enum.auto()


TIMES_OUT = Ends.TIMES_OUT
"""A stub: the attempt goes on until its deadline, which the clock is at then."""

DIES = Ends.DIES
"""A stub: the worker is gone, and its lease runs out."""


class Ended(BaseException):
    """An attempt is to end without a report.

    Attributes:
        how: How.
    """

    def __init__(self, how: Ends) -> None:
        super().__init__(how.name)
        self.how = how


class Attempts:
    """A stub that is another one for each attempt; see `attempts`."""

    def __init__(self, stubs: tuple[Any, ...]) -> None:
        self.stubs = stubs


def attempts(*stubs: Any) -> Attempts:
    """A stub that is the first of these at a task's first attempt, and so on; then the last.

    stubs={"charge": attempts(ConnectionError("down"), TIMES_OUT, {"paid": 42})}

    Args:
        *stubs: Functions, exceptions, values, as `run` takes them.
    """
    if not stubs:
        raise TypeError("attempts() needs what the first attempt is to be")
    return Attempts(stubs)


Stub = Any
"""A function, an exception, `attempts(...)`, TIMES_OUT, DIES; any other value is returned."""


class Stubs:
    """Stubs by step.

    Args:
        encode: Makes JSON of what they return.
    """

    def __init__(self, encode: _json.Encoder) -> None:
        self._encode = encode
        self._by_step: dict[tuple[str, str], Handler] = {}

    def add(self, key: str | Callable[..., Any], stub: Stub, registry: Registry) -> None:
        """Let a stub stand for the handler of a step, or of all steps that are called so.

        Args:
            key: The step's slug, `<flow>.<step>`, the command, or the handler itself.
            stub: The stub.
            registry: What there is.

        Raises:
            LookupError: There is no such step.
            TypeError: The stub asks for what tasks of the step do not have.
            UnsupportedValue: It is a value that has no form in JSON.
        """
        steps = registry.steps()
        found = [step for step in steps if _is_of(key, step, registry)]
        if not found:
            named = repr(key) if isinstance(key, str) else name_of(key)
            there_is = listed(sorted(f"{step.flow}.{step.slug}" for step in steps))
            raise LookupError(f"there is no step {named} to stub: there is {there_is or 'none'}")
        for step in found:
            handler = self._handler(stub, step)
            step.refuse_unless_it_suits(handler.parameters, registry.makers)
            self._by_step[step.flow, step.slug] = handler

    def of(self, flow: str, step: str) -> Handler | None:
        """The stub of a step, if it has one."""
        return self._by_step.get((flow, step))

    def _handler(self, stub: Stub, step: Step) -> Handler:
        if isinstance(stub, Attempts):
            return self._one_by_one([self._handler(each, step) for each in stub.stubs])
        if isinstance(stub, Ends):
            return Handler.of(_raising(lambda: Ended(stub)), self._encode)
        if isinstance(stub, BaseException) or (
            isinstance(stub, type) and issubclass(stub, BaseException)
        ):
            return Handler.of(_raising(lambda: stub), self._encode)
        if callable(stub):
            return Handler.of(stub, self._encode)
        self._encode(stub, f"the stub of step {step.slug!r}")
        return Handler.of(_returning_each(stub) if step.in_chunks else lambda: stub, self._encode)

    def _one_by_one(self, handlers: list[Handler]) -> Handler:
        def chosen(ctx: Context) -> tuple[Handler, Mapping[str, Any]]:
            handler = handlers[min(ctx.attempt, len(handlers)) - 1]
            return handler, handler.arguments(ctx)

        def call(ctx: Context) -> Any:
            handler, arguments = chosen(ctx)
            return handler.function(**arguments)

        async def acall(ctx: Context) -> Any:
            handler, arguments = await asyncio.to_thread(chosen, ctx)
            made = handler.function(**arguments)
            return await made if is_async(handler.function) else made

        is_any_async = any(handler.is_async for handler in handlers)
        return Handler.of(acall if is_any_async else call, self._encode)


def _is_of(key: str | Callable[..., Any], step: Step, registry: Registry) -> bool:
    if isinstance(key, str):
        return key in (step.slug, f"{step.flow}.{step.slug}", step.command)
    return step.command in registry and registry[step.command].function == key


def _raising(error: Callable[[], Any]) -> Callable[[], Any]:
    def stub() -> Any:
        raise error()

    return stub


def _returning_each(value: Any) -> Callable[[list[Any]], Any]:
    def stub(items: list[Any]) -> Any:
        return [value] * len(items)

    return stub
