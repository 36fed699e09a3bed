"""Steps that wait, as a flow's author has them: what they put out, and how they are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from ._worker.steps import wanted_of

if TYPE_CHECKING:
    T = TypeVar("T")

OutputT_co = TypeVar("OutputT_co", covariant=True)


class Slept(TypedDict):
    """The output of a sleep."""

    until: str


class Signalled(TypedDict):
    """The output of a wait for several signals: which came first, and what was sent with it."""

    signal: str
    payload: Any


@dataclass(frozen=True, slots=True)
class AwaitedStep(Generic[OutputT_co]):
    """A step that no worker is given: what `Flow.sleep`, `wait_for` and `flow` return.

    approved = flow.wait_for("approved", payload=Approval, timeout=timedelta(days=3))

    @flow.step
    def ship(approval: Approval = approved.output): ...

    Attributes:
        flow: The flow's slug.
        slug: The step's.
    """

    flow: str
    slug: str

    @property
    def output(self) -> OutputT_co:
        """The step's output, for the default of a parameter."""
        return self._wanted("output")  # type: ignore[no-any-return]

    @property
    def each(self: AwaitedStep[Sequence[T]]) -> T:
        """An item of it, for the default of a parameter of a map over the step."""
        return self._wanted("each")  # type: ignore[no-any-return]

    @property
    def chunk(self: AwaitedStep[Sequence[T]]) -> list[T]:
        """Some items of it, for the default of a parameter of a map in chunks."""
        return self._wanted("chunk")  # type: ignore[no-any-return]

    def _wanted(self, attribute: str) -> Any:
        return wanted_of(self.flow, self.slug)[attribute]
