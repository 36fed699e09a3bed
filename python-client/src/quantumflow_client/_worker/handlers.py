"""Handlers: the functions that do the work of a command, and what they ask for by parameter name.

A handler may be `def` or `async def`. Its parameters are filled by name: `input`, `ctx`, `args`,
and the members of the task's input: `run`, a dependency's slug, a map's `item` and `index`. A map
task is handed only its item; the run's input and dependencies it asks for are fetched.

A parameter's annotation says what its value is read as: see `_typed`. What its default says to want
may have another name than the parameter: `paid: Paid = charge.output`.

A task that a handler cannot take is of another version of its flow, whose code may be running
beside this one: it is left to that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from quantumflow_client import _json, _typed
from quantumflow_client._log import logger
from quantumflow_client._wanted import Wanted
from quantumflow_client.errors import UnknownStep

from .steps import CONTEXT, GIVEN, OF_A_TASK, listed, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quantumflow_client._json import Json
    from quantumflow_client._sql import Task
    from quantumflow_client.context import Context

    from .steps import Step

Function = Callable[..., Any]

_FILLED_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_NO_OUTPUT = object()


class Unfit(Exception):  # noqa: N818 - it is no error: other code may take the task
    """The handler cannot take the task; the text says why."""


@dataclass(frozen=True)
class Handler:
    """A function that can be called for a task.

    Attributes:
        function: The function.
        is_async: Whether it is `async def`.
        parameters: The names that it asks for, and whether it can do without.
        names: The same by the function's own names, which its defaults may say the others for.
        encode: Makes JSON of what it returns.
    """

    function: Function
    is_async: bool
    parameters: dict[str, bool]
    names: dict[str, str]
    encode: _json.Encoder = _json.encode

    @classmethod
    def of(cls, function: Function, encode: _json.Encoder = _json.encode) -> Handler:
        """A function as a handler.

        Args:
            function: The function.
            encode: Makes JSON of what it returns.

        Raises:
            TypeError: Its parameters cannot be filled by name, or never all at once, or it is a
                generator.
        """
        if not callable(function):
            raise TypeError(f"a handler is a function, not {function!r}")
        parameters = inspect.signature(function).parameters.values()
        unfit = [str(p) for p in parameters if p.kind not in _FILLED_BY_NAME]
        if unfit:
            raise TypeError(
                f"{name_of(function)} cannot be a handler: parameters are filled by name, and "
                f"{', '.join(unfit)} cannot be (is a decorator without functools.wraps around it?)"
            )
        # What is called in the end: below a partial, or the method of an object that can be called.
        call = getattr(function, "func", function)
        if not inspect.isroutine(call):
            call = type(call).__call__
        if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
            raise TypeError(
                f"{name_of(function)} cannot be a handler: a generator returns no output"
            )
        names = {
            p.name: p.default.name if isinstance(p.default, Wanted) else p.name for p in parameters
        }
        optional = {
            p.name
            for p in parameters
            if p.default is not Parameter.empty and not isinstance(p.default, Wanted)
        }
        asked = {name: parameter in optional for parameter, name in names.items()}
        if {name for name, is_optional in asked.items() if not is_optional} >= OF_A_TASK:
            raise TypeError(
                f"{name_of(function)} cannot be a handler: no task has both {listed(OF_A_TASK)}, "
                "the second of which is for a map in chunks"
            )
        return cls(
            function,
            inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call),
            asked,
            names,
            encode,
        )

    @cached_property
    def readers(self) -> dict[str, _typed.Reader]:
        """What reads the values of those parameters whose annotations want that.

        Found when the first task comes: an annotation may name what the module defines later.
        """
        found, unknown = _typed.annotations_of(self.function)
        for parameter in unknown.keys() & self.names.keys() - {CONTEXT}:
            logger.info(
                "%s: the annotation %s of %r cannot be found: its value is as JSON is",
                name_of(self.function),
                unknown[parameter],
                parameter,
            )
        return {
            parameter: reader
            for parameter in found.keys() & self.names.keys() - {CONTEXT}
            if (reader := _typed.reader_of(found[parameter])) is not None
        }

    def needs_fetching(self, ctx: Context) -> bool:
        """Whether `arguments` will ask the database."""
        return ctx.is_map_task and any(
            name not in ctx.input and name not in GIVEN for name in self.parameters
        )

    def arguments(self, ctx: Context, step: Step | None = None) -> dict[str, Any]:
        """What to call the function with.

        Args:
            ctx: The task.
            step: What the flow at hand says of its step.

        Raises:
            Unfit: The task does not have what it needs, or is of another kind than the step, or
                has a dependency that neither the step nor the function names.
        """
        if step is not None and (other := step.another_than(ctx, self.parameters)) is not None:
            raise Unfit(other)
        readers, values, wants = self.readers, {}, []
        for parameter, name in self.names.items():
            reader = readers.get(parameter)
            is_exact = reader is not None and reader.is_exact
            value = _value_of(name, ctx.exact if is_exact else ctx)
            if value is not _NO_OUTPUT:
                values[parameter] = value
            elif not self.parameters[name]:
                wants.append(name)
        if wants:
            raise Unfit(
                f"the handler of {ctx.command!r} asks for {listed(wants)}, "
                f"and the task's input has {listed(ctx.input)}"
            )
        for parameter in readers.keys() & values.keys():
            values[parameter] = readers[parameter](values[parameter], self.names[parameter])
        return values


def _value_of(name: str, ctx: Context) -> Any:
    if name in GIVEN:
        return ctx if name == CONTEXT else getattr(ctx, name)
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


def name_of(function: Function) -> str:
    """What a function is called."""
    return getattr(function, "__qualname__", None) or repr(function)


def is_again(function: Function, before: Function) -> bool:
    """Whether a function is one that was there before: itself, or defined once more.

    In a notebook a cell is run again, and a module may be reloaded. What has no name of its own, a
    lambda or a partial, is only itself.
    """
    if function == before:
        return True
    ours, others = (
        (getattr(f, "__module__", None), getattr(f, "__qualname__", "")) for f in (function, before)
    )
    return ours == others and ours[1].rpartition(".")[2] not in {"", "<lambda>"}


class Registry:
    """Handlers by command, and the steps of the flows at hand."""

    def __init__(self, encode: _json.Encoder = _json.encode) -> None:
        self._encode = encode
        self._handlers: dict[str, Handler] = {}
        self._steps: dict[tuple[str, str], Step] = {}

    def __contains__(self, command: object) -> bool:
        return command in self._handlers

    def __getitem__(self, command: str) -> Handler:
        return self._handlers[command]

    def commands(self) -> list[str]:
        """The commands that have a handler."""
        return sorted(self._handlers)

    def step_of(self, task: Task) -> Step | None:
        """What the flow at hand says of a task's step; None if there is none that has it."""
        step = self._steps.get((task.workflow_slug, task.ref.step_slug))
        return step if step is not None and step.command == task.command else None

    def flows(self) -> list[str]:
        """The flows at hand."""
        return list(dict.fromkeys(flow for flow, _ in self._steps))

    def add(self, command: str, function: Function) -> None:
        """Let a function handle a command; defined again, it takes its own place.

        Raises:
            TypeError: The function cannot be a handler, or not of a step of a flow at hand.
            ValueError: Another function handles the command.
        """
        handler = self._handler(command, function)
        _refuse_unsuited({command: handler}, self._steps.values())
        self._handlers[command] = handler

    def add_flow(
        self,
        definition: Mapping[str, Json],
        functions: Mapping[str, Function],
        *,
        slug: str | None = None,
    ) -> None:
        """Have a flow at hand, in place of what it was before, with handlers for its commands.

        Args:
            definition: Its definition.
            functions: The handlers.
            slug: Its slug, if the definition has none.

        Raises:
            TypeError, ValueError: As for `add`; then nothing has changed.
        """
        handlers = {command: self._handler(command, f) for command, f in functions.items()}
        steps = {(step.flow, step.slug): step for step in steps_of(definition, slug)}
        flows = {flow for flow, _ in steps}
        others = {key: step for key, step in self._steps.items() if key[0] not in flows}
        _refuse_unsuited(self._handlers | handlers, steps.values())
        _refuse_unsuited(handlers, others.values())
        self._handlers |= handlers
        self._steps = others | steps

    def _handler(self, command: str, function: Function) -> Handler:
        before = self._handlers.get(command)
        if before is not None and not is_again(function, before.function):
            raise ValueError(
                f"command {command!r} has a handler already: {name_of(before.function)}"
            )
        return Handler.of(function, self._encode)


def _refuse_unsuited(handlers: Mapping[str, Handler], steps: Iterable[Step]) -> None:
    for step in steps:
        if step.command in handlers:
            step.refuse_unless_it_suits(handlers[step.command].parameters)
