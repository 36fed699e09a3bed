"""Decomposers that are functions: what they are handed, and what is made of what they return."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from inspect import Parameter
from typing import TYPE_CHECKING, Any

from ._wanted import Wanted
from ._worker.steps import CONTEXT, GIVEN_TO_PLANNERS
from .errors import PermanentError

if TYPE_CHECKING:
    from ._json import Json

_GIVEN = ("goal", "context", "args", "depth", "problems", "commands")


@dataclass(frozen=True, slots=True)
class Decomposer:
    """A function that makes tasks of goals, and how it is registered.

    Attributes:
        name: The decomposer's name, and its command.
        handler: The function, as a handler of tasks.
        options: What `register_decomposer` takes besides.
    """

    name: str
    handler: Callable[..., Any]
    options: Mapping[str, Any]


def decomposer_of(
    function: Callable[..., Any],
    name: str,
    *,
    may_use: Sequence[str],
    version: str = "1",
    max_depth: int | None = None,
    timeout: timedelta | None = None,
    cache_for: timedelta | None = None,
) -> Decomposer:
    """A function as a decomposer.

    Raises:
        TypeError: It takes parameters that no decomposer is handed.
    """
    names = _parameters(function)
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def aplan(run: Mapping[str, Any]) -> Json:
            return graph_of(await function(**_arguments(names, run)))

        handler: Callable[..., Any] = aplan
    else:

        @wraps(function)
        def plan(run: Mapping[str, Any]) -> Json:
            return graph_of(function(**_arguments(names, run)))

        handler = plan
    return Decomposer(
        name,
        _unwrapped(handler),
        {
            "may_use": list(may_use),
            "version": version,
            "max_depth": max_depth,
            "timeout": timeout,
            "cache_for": cache_for,
        },
    )


def _parameters(function: Callable[..., Any]) -> dict[str, str]:
    """By the name of each parameter what it is handed: the only one of another name, the goal."""
    parameters = list(inspect.signature(function).parameters.values())
    wanted = [p for p in parameters if p.default is Parameter.empty or p.name in _GIVEN]
    names = {p.name: p.name for p in wanted if p.name in _GIVEN}
    others = [p for p in wanted if p.name not in _GIVEN]
    if len(others) == 1 and "goal" not in names:
        names[others[0].name] = "goal"
    elif others:
        raise TypeError(
            f"{function!r} cannot decompose goals: it is handed {', '.join(_GIVEN)}, and asks for "
            f"{', '.join(p.name for p in others)}"
        )
    return names


def _arguments(names: Mapping[str, str], run: Mapping[str, Any]) -> dict[str, Any]:
    return {parameter: run[given] for parameter, given in names.items()}


def planner_of(function: Callable[..., Any], depends_on: Sequence[str]) -> Callable[..., Any]:
    """A function that plans a step of a workflow, as a handler: its run is what the step has.

    Raises:
        TypeError: It takes parameters that no planner is handed.
    """
    wanted = {
        name: parameter.default.name if isinstance(parameter.default, Wanted) else name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is Parameter.empty or isinstance(parameter.default, Wanted)
    }
    given = {*depends_on, *GIVEN_TO_PLANNERS}
    if others := sorted(set(wanted.values()) - given):
        raise TypeError(
            f"{function!r} cannot plan: it is handed {', '.join(sorted(given))}, and asks for "
            f"{', '.join(others)}"
        )

    def arguments(run: Mapping[str, Any], args: Json, ctx: Any) -> dict[str, Any]:
        has = {**run, "args": args, CONTEXT: ctx}
        return {parameter: has[name] for parameter, name in wanted.items()}

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def aplan(run: Any, args: Any, ctx: Any) -> Json:
            return graph_of(await function(**arguments(run, args, ctx)))

        return _unwrapped(aplan)

    @wraps(function)
    def plan(run: Any, args: Any, ctx: Any) -> Json:
        return graph_of(function(**arguments(run, args, ctx)))

    return _unwrapped(plan)


def _unwrapped(handler: Callable[..., Any]) -> Callable[..., Any]:
    """What is wrapped is not to be asked what it takes."""
    del handler.__wrapped__  # type: ignore[attr-defined]
    handler.__annotations__ = {}
    return handler


def graph_of(answer: Any) -> Json:
    """The graph that a decomposer returned: as it is, or after "ok".

    Raises:
        PermanentError: It is ("error", reason): another attempt would say the same.
    """
    if isinstance(answer, tuple) and len(answer) == 2:
        verdict, value = answer
        if verdict == "error":
            raise PermanentError(str(value))
        if verdict == "ok":
            return value
    return answer
