"""Handlers: the functions that do the work of a command, and what they ask for by parameter name.

A handler may be `def` or `async def`. Its parameters are filled by name: `input`, `ctx`, `args`,
and the members of the task's input: `run`, a dependency's slug, a map's `item` and `index`. A map
task is handed only its item; the run's input and dependencies it asks for are fetched.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from quantumflow_client.errors import PermanentError, UnknownStep

if TYPE_CHECKING:
    from quantumflow_client.context import Context

Function = Callable[..., Any]

_FILLED_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_NO_OUTPUT = object()

# What a parameter of each name means. That no step may be called so is the database's business.
GIVEN = frozenset({"input", "ctx", "args"})
OF_A_RUN = frozenset({"run"})
OF_AN_ITEM = frozenset({"item", "index"})
OF_A_CHUNK = frozenset({"items", "index"})


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that can be called for a task.

    Attributes:
        function: The function.
        is_async: Whether it is `async def`.
        parameters: The names that it asks for, and whether it can do without.
    """

    function: Function
    is_async: bool
    parameters: dict[str, bool]

    @classmethod
    def of(cls, function: Function) -> Handler:
        """A function as a handler.

        Raises:
            TypeError: Its parameters cannot be filled by name, or it is a generator.
        """
        if not callable(function):
            raise TypeError(f"a handler is a function, not {function!r}")
        parameters = inspect.signature(function).parameters.values()
        unfit = [str(p) for p in parameters if p.kind not in _FILLED_BY_NAME]
        if unfit:
            raise TypeError(
                f"{_name(function)} cannot be a handler: parameters are filled by name, and "
                f"{', '.join(unfit)} cannot be (is a decorator without functools.wraps around it?)"
            )
        # What is called in the end: below a partial, or the method of an object that can be called.
        call = getattr(function, "func", function)
        if not inspect.isroutine(call):
            call = type(call).__call__
        if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
            raise TypeError(f"{_name(function)} cannot be a handler: a generator returns no output")
        return cls(
            function,
            inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call),
            {p.name: p.default is not Parameter.empty for p in parameters},
        )

    def needs_fetching(self, ctx: Context) -> bool:
        """Whether `arguments` will ask the database."""
        return ctx.is_map_task and any(
            name not in ctx.input and name not in GIVEN for name in self.parameters
        )

    def arguments(self, ctx: Context) -> dict[str, Any]:
        """What to call the function with.

        Raises:
            PermanentError: It needs something that the task does not have.
        """
        arguments = {}
        for name, optional in self.parameters.items():
            value = _value_of(name, ctx)
            if value is not _NO_OUTPUT:
                arguments[name] = value
            elif not optional:
                raise PermanentError(
                    f"the handler of {ctx.command!r} asks for {name!r}, which the input of step "
                    f"{ctx.step_slug!r} does not have (it has {', '.join(map(repr, ctx.input))}); "
                    "a skipped dependency has no output: give the parameter a default"
                )
        return arguments


def _value_of(name: str, ctx: Context) -> Any:
    if name in GIVEN:
        return ctx if name == "ctx" else getattr(ctx, name)
    if name in ctx.input:
        return ctx.input[name]
    if not ctx.is_map_task:
        return _NO_OUTPUT
    if name == "run":
        return ctx.run_input
    try:
        return ctx.output_of(name, default=_NO_OUTPUT)
    except UnknownStep:
        return _NO_OUTPUT


def _name(function: Function) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


class Registry:
    """Handlers by command."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def __contains__(self, command: object) -> bool:
        return command in self._handlers

    def __getitem__(self, command: str) -> Handler:
        return self._handlers[command]

    def commands(self) -> list[str]:
        """The commands that have a handler."""
        return sorted(self._handlers)

    def add(self, command: str, function: Function) -> None:
        """Let a function handle a command.

        Raises:
            TypeError: The function cannot be a handler.
            ValueError: Another function handles the command.
        """
        handler = Handler.of(function)
        if self._handlers.setdefault(command, handler).function != function:
            raise ValueError(
                f"command {command!r} has a handler already: {_name(self[command].function)}"
            )
