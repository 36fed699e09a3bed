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
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter
from typing import TYPE_CHECKING, Any, NamedTuple

from quantumflow_client import _json, _typed
from quantumflow_client._log import logger
from quantumflow_client._wanted import Wanted
from quantumflow_client.errors import UnknownStep

from .hooks import Hooks
from .resources import Maker
from .steps import CONTEXT, GIVEN, OF_A_TASK, RESERVED, listed, steps_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from quantumflow_client._json import Json
    from quantumflow_client._sql.tasks import Task
    from quantumflow_client.context import Context

    from .steps import Step

Function = Callable[..., Any]

_FILLED_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_NO_OUTPUT = object()
_NONE: Mapping[str, Any] = {}


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
        place: Where a process of its own finds it, if it is called in one.
    """

    function: Function
    is_async: bool
    parameters: dict[str, bool]
    names: dict[str, str]
    encode: _json.Encoder = _json.encode
    place: Place | None = None

    @classmethod
    def of(
        cls, function: Function, encode: _json.Encoder = _json.encode, *, process: bool = False
    ) -> Handler:
        """A function as a handler.

        Args:
            function: The function.
            encode: Makes JSON of what it returns.
            process: Whether it is called in a process of its own.

        Raises:
            TypeError: Its parameters cannot be filled by name, or never all at once, or it is a
                generator; or a process could not import it.
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
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
        place = _place_of(function, encode, is_async=is_async) if process else None
        return cls(function, is_async, asked, names, encode, place)

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

    def needs_fetching(self, ctx: Context, resources: Mapping[str, Any] = _NONE) -> bool:
        """Whether `arguments` will ask the database."""
        return ctx.is_map_task and any(
            name not in ctx.input and name not in GIVEN and name not in resources
            for name in self.parameters
        )

    def arguments(
        self, ctx: Context, step: Step | None = None, resources: Mapping[str, Any] = _NONE
    ) -> dict[str, Any]:
        """What to call the function with.

        Args:
            ctx: The task.
            step: What the flow at hand says of its step.
            resources: What else there is, by name.

        Raises:
            Unfit: The task does not have what it needs, or is of another kind than the step, or
                has a dependency that neither the step nor the function names.
        """
        if step is not None:
            asked = self.parameters
            if resources:
                asked = {name: can for name, can in asked.items() if name not in resources}
            if (other := step.another_than(ctx, asked)) is not None:
                raise Unfit(other)
        readers, values, wants = self.readers, {}, []
        for parameter, name in self.names.items():
            reader = readers.get(parameter)
            is_exact = reader is not None and reader.is_exact
            value = _value_of(name, ctx.exact if is_exact else ctx, resources)
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
            name = self.names[parameter]
            if name in ctx.input or name not in resources:
                values[parameter] = readers[parameter](values[parameter], name)
        return values


def _value_of(name: str, ctx: Context, resources: Mapping[str, Any]) -> Any:
    if name in GIVEN:
        return ctx if name == CONTEXT else getattr(ctx, name)
    if name in ctx.input:
        return ctx.input[name]
    if name in resources:
        return resources[name]
    if not ctx.is_map_task:
        return _NO_OUTPUT
    if name == "run":
        return ctx.run_input
    try:
        return ctx.output_of(name, default=_NO_OUTPUT)
    except UnknownStep:
        return _NO_OUTPUT


class Place(NamedTuple):
    """Where a process finds what it needs: modules, and names there.

    Attributes:
        function: The handler.
        encode: What it is to ask for values that have no form in JSON, if anything.
    """

    function: tuple[str, str]
    encode: tuple[str, str] | None


def _place_of(function: Function, encode: _json.Encoder, *, is_async: bool) -> Place:
    """Where a process finds a handler.

    Raises:
        TypeError: Nowhere; or not what makes JSON of what it returns.
    """
    hook = encode.hook
    return Place(_found(function, is_async=is_async), None if hook is None else _found(hook))


def _found(function: Function, *, is_async: bool = False) -> tuple[str, str]:
    module = getattr(function, "__module__", None) or "__main__"
    name = getattr(function, "__qualname__", "<lambda>")
    why = None
    if is_async:
        why = "it is async def, which waits; a process is for what computes"
    elif module == "__main__":
        why = "it is of the program that was started: put it into a module, which can be imported"
    elif "<" in name:
        why = "it has no name in its module: define it there with def, and within nothing else"
    elif not _is_found(module.partition(".")[0]):
        why = f"no other process finds its module {module!r}: put it where sys.path leads"
    if why is not None:
        raise TypeError(f"{name_of(function)} cannot be called in a process of its own: {why}")
    return module, name


def _is_found(module: str) -> bool:
    """Whether a module that is not imported yet would be found."""
    finders = [getattr(finder, "find_spec", None) for finder in sys.meta_path]
    return any(find is not None and find(module, None) is not None for find in finders)


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
    """Handlers by command, and the steps of the flows at hand.

    Attributes:
        encode: Makes JSON of what handlers return.
        hooks: What is around the handlers.
        makers: What makes the resources that handlers may ask for, by name.
    """

    def __init__(self, encode: _json.Encoder = _json.encode) -> None:
        self.encode = encode
        self._handlers: dict[str, Handler] = {}
        self._steps: dict[tuple[str, str], Step] = {}
        self.hooks = Hooks()
        self.makers: dict[str, Maker] = {}

    def __contains__(self, command: object) -> bool:
        return command in self._handlers

    def __getitem__(self, command: str) -> Handler:
        return self._handlers[command]

    def copy(self) -> Registry:
        """One that has the same, to which more may come."""
        copied = Registry(self.encode)
        copied.hooks = self.hooks
        copied.makers = dict(self.makers)
        copied._handlers, copied._steps = dict(self._handlers), dict(self._steps)
        return copied

    def commands(self) -> list[str]:
        """The commands that have a handler."""
        return sorted(self._handlers)

    def steps(self) -> list[Step]:
        """The steps of the flows at hand that workers are given, and callbacks."""
        return list(self._steps.values())

    def step_of(self, task: Task) -> Step | None:
        """What the flow at hand says of a task's step; None if there is none that has it."""
        step = self._steps.get((task.workflow_slug, task.ref.step_slug))
        return step if step is not None and step.command == task.command else None

    def flows(self) -> list[str]:
        """The flows at hand."""
        return list(dict.fromkeys(flow for flow, _ in self._steps))

    def wanted(self, commands: Collection[str]) -> set[str]:
        """What the handlers of some commands ask for by name."""
        return {name for command in commands for name in self._handlers[command].parameters}

    def add(self, command: str, function: Function, *, process: bool = False) -> None:
        """Let a function handle a command; defined again, it takes its own place.

        Raises:
            TypeError: The function cannot be a handler, or not of a step of a flow at hand.
            ValueError: Another function handles the command.
        """
        handler = self._handler(command, function, process=process)
        self._refuse_unsuited({command: handler}, self._steps.values())
        self._handlers[command] = handler

    def add_resource(self, name: str, function: Callable[[], Any]) -> None:
        """Let handlers ask for what a function makes; defined again, it takes its own place.

        Raises:
            TypeError: It cannot be called without arguments.
            ValueError: The name is taken: by a step on which another one depends, by what each
                handler may ask for, or by another resource.
        """
        before = self.makers.get(name)
        if before is not None and not is_again(function, before.function):
            raise ValueError(f"there is a resource {name!r} already: {name_of(before.function)}")
        if not name.isidentifier() or name in RESERVED:
            raise ValueError(
                f"no resource can be called {name!r}: handlers ask for it by name, "
                f"and these are taken: {listed(sorted(RESERVED))}"
            )
        _refuse_hidden({name}, self._steps.values())
        self.makers[name] = Maker.of(function)

    def add_flow(
        self,
        definition: Mapping[str, Json],
        functions: Mapping[str, Function],
        *,
        slug: str | None = None,
        processes: Collection[str] = (),
    ) -> None:
        """Have a flow at hand, in place of what it was before, with handlers for its commands.

        Args:
            definition: Its definition.
            functions: The handlers.
            slug: Its slug, if the definition has none.
            processes: The commands whose handlers have a process of their own.

        Raises:
            TypeError, ValueError: As for `add` and `add_resource`; then nothing has changed.
        """
        handlers = {
            command: self._handler(command, f, process=command in processes)
            for command, f in functions.items()
        }
        steps = {(step.flow, step.slug): step for step in steps_of(definition, slug)}
        flows = {flow for flow, _ in steps}
        others = {key: step for key, step in self._steps.items() if key[0] not in flows}
        _refuse_hidden(self.makers, steps.values())
        self._refuse_unsuited(self._handlers | handlers, steps.values())
        self._refuse_unsuited(handlers, others.values())
        self._handlers |= handlers
        self._steps = others | steps

    def _handler(self, command: str, function: Function, *, process: bool) -> Handler:
        before = self._handlers.get(command)
        if before is not None and not is_again(function, before.function):
            raise ValueError(
                f"command {command!r} has a handler already: {name_of(before.function)}"
            )
        return Handler.of(function, self.encode, process=process)

    def _refuse_unsuited(self, handlers: Mapping[str, Handler], steps: Iterable[Step]) -> None:
        for handler in handlers.values():
            for name in handler.parameters.keys() & self.makers.keys():
                self._refuse_strange(handler, name)
        for step in steps:
            if step.command in handlers:
                step.refuse_unless_it_suits(handlers[step.command].parameters, self.makers)

    def _refuse_strange(self, handler: Handler, resource: str) -> None:
        """Refuse a handler that asks for a resource which it could not use.

        Raises:
            TypeError: It could not.
        """
        why = None
        if handler.place is not None:
            why = (
                "it has a process of its own, where it makes what it needs, and resources are the "
            )
            why += "worker's"
        elif self.makers[resource].is_async and not handler.is_async:
            why = "that belongs to the event loop, and the handler is not async def"
        if why is not None:
            raise TypeError(
                f"{name_of(handler.function)} cannot ask for resource {resource!r}: {why}"
            )


def _refuse_hidden(resources: Collection[str], steps: Iterable[Step]) -> None:
    """Refuse resources whose names are those of dependencies: these are what handlers get."""
    for step in steps:
        hidden = step.names.intersection(resources)
        if hidden:
            raise ValueError(
                f"the handler of step {step.slug!r} of flow {step.flow!r} gets {listed(hidden)} "
                "from what the step depends on: no resource can be called so beside it"
            )
