"""The workflows that are measured, in words that each system translates into its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its name, what it waits for, and whether it has a task for each item of an array.

    A map without a dependency maps over the run's input, others over their dependency's output.
    """

    name: str
    after: tuple[str, ...] = ()
    is_map: bool = False
    chunk_size: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """A workflow."""

    slug: str
    steps: tuple[Step, ...]

    def tasks(self, items: int = 0) -> int:
        """How many tasks one run has; items is the length of the input, if that is mapped."""
        return sum(-(-items // (step.chunk_size or 1)) if step.is_map else 1 for step in self.steps)

    def definition(self, **settings: Any) -> dict[str, Any]:
        """The definition as quantumflow reads it."""
        return {"slug": self.slug, **settings, "steps": [_as_json(step) for step in self.steps]}


def _as_json(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {"name": step.name, "dependencies": list(step.after)}
    if step.is_map:
        found["type"] = "map"
    if step.chunk_size is not None:
        found["chunk_size"] = step.chunk_size
    return found


def chain(length: int) -> Shape:
    """Steps one after the other."""
    steps = (Step(f"s{n}", (f"s{n - 1}",) if n else ()) for n in range(length))
    return Shape(f"chain_{length}", tuple(steps))


def diamond(width: int) -> Shape:
    """One step, then some side by side, then one that waits for all of these."""
    middle = tuple(Step(f"m{n}", ("first",)) for n in range(width))
    last = Step("last", tuple(step.name for step in middle))
    return Shape(f"diamond_{width}", (Step("first"), *middle, last))


SINGLE = Shape("single", (Step("only"),))
MAP = Shape("map", (Step("each", is_map=True),))
MAP_BY_CHUNK = Shape("map_by_chunk", (Step("each", is_map=True, chunk_size=50),))
MAP_AND_JOIN = Shape("map_and_join", (Step("each", is_map=True), Step("join", ("each",))))
MAP_OF_MAP = Shape(
    "map_of_map", (Step("first", is_map=True), Step("second", ("first",), is_map=True))
)
CHAIN = chain(10)
