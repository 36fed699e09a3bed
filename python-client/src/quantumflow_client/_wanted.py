"""What stands as the default of a handler's parameter that wants something of a flow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """What stands as the default of a handler's parameter: `paid: Paid = charge.output`.

    Attributes:
        flow: The flow's slug.
        step: The step whose output it is, or an item of it; None for what is the run's.
        name: What it is called in the task's input.
        in_chunks: Whether the step is a map in chunks.
    """

    flow: str
    step: str | None
    name: str
    in_chunks: bool = False

    def __repr__(self) -> str:
        return f"{self.name} of {self.flow}{'' if self.step is None else f'.{self.step}'}"
