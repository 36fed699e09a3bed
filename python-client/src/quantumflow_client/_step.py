"""What type checkers are told of the functions that are steps: they stay what they are.

A decorator adds three attributes to a function, which stand as defaults of other functions'
parameters: a checker then compares the one's output with the annotation of the other's parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar, overload

P = ParamSpec("P")
T = TypeVar("T")
ReturnT_co = TypeVar("ReturnT_co", covariant=True)
OutputT_co = TypeVar("OutputT_co", covariant=True)


class Step(Protocol[P, ReturnT_co, OutputT_co]):
    """A function that is a step of a flow: it is called as before.

    def charge(run: Order = flow.input, checked: Checked = validate.output) -> Paid: ...
    """

    @property
    def __name__(self) -> str:
        """The function's name."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ReturnT_co:
        """Call the function."""

    @property
    def output(self) -> OutputT_co:
        """The step's output, for the default of a parameter; a map's is a list."""

    @property
    def each(self: Step[..., Any, Sequence[T]]) -> T:
        """An item of it, for the default of a parameter of a map over the step."""

    @property
    def chunk(self: Step[..., Any, Sequence[T]]) -> list[T]:
        """Some items of it, for the default of a parameter of a map in chunks."""


class StepDecorator(Protocol):
    """Makes a function a step with one task."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> Step[P, Coroutine[Any, Any, T], T]: ...

    @overload
    def __call__(self, function: Callable[P, T], /) -> Step[P, T, T]: ...


class MapDecorator(Protocol):
    """Makes a function a step with a task for each item."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> Step[P, Coroutine[Any, Any, T], list[T]]: ...

    @overload
    def __call__(self, function: Callable[P, T], /) -> Step[P, T, list[T]]: ...


class ChunkDecorator(Protocol):
    """Makes a function a step with a task for so many items, which returns as many outputs."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, Sequence[T]]], /
    ) -> Step[P, Coroutine[Any, Any, Sequence[T]], list[T]]: ...

    @overload
    def __call__(self, function: Callable[P, Sequence[T]], /) -> Step[P, Sequence[T], list[T]]: ...
