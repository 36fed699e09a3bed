"""What a step may say of when it runs, and of what its failure means; and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Condition = tuple[str, str, Any]
"""("first", name, n): the first entry of what the step is given under that name is more than n; and
("status", name, status): a step that it waits for has ended so."""


@dataclass(frozen=True, kw_only=True)
class Decides:
    """The keys of a step that decide; by default it decides nothing.

    fallback is an array wherever there is one, so that a map may map over it.
    """

    after: tuple[str, ...] = ()
    joins: str = "all"
    condition: Condition | None = None
    otherwise: str = "skip"
    goes_on: bool = False
    fallback: list[Any] | None = None
    tolerate: int | str | None = None

    def decisions(self) -> dict[str, Any]:
        """These keys, as a definition has them."""
        found = {
            "after": list(self.after) or None,
            "join": self.joins if self.joins != "all" else None,
            "if": None if self.condition is None else jsonpath(self.condition),
            "otherwise": self.otherwise if self.otherwise != "skip" else None,
            "on_error": "continue" if self.goes_on else None,
            "fallback": self.fallback,
            "tolerate": self.tolerate,
        }
        return {key: value for key, value in found.items() if value is not None}

    @property
    def last_resort(self) -> str | None:
        """How the run goes on without it; None: not at all."""
        if self.fallback is not None:
            return "fallback"
        return "step_continues" if self.goes_on else None

    @property
    def can_give_up(self) -> bool:
        return self.last_resort is not None or self.tolerate is not None

    def tolerated(self, tasks: int) -> int:
        """How many of so many tasks may fail."""
        if isinstance(self.tolerate, str):
            return tasks * int(self.tolerate.rstrip("%")) // 100
        return self.tolerate or 0

    def verdict(
        self, dependencies: tuple[str, ...], given: Mapping[str, Any], statuses: Mapping[str, str]
    ) -> str:
        """What the gate says: starts, fails, or why it is skipped.

        Args:
            dependencies: Those of the step.
            given: What it would be given: the run's input, and outputs of those that completed.
            statuses: What each step that has ended ended as.
        """
        done = [statuses[name] == "completed" for name in dependencies]
        if dependencies and not {"all": all(done), "any": any(done), "none": True}[self.joins]:
            return "dependency"
        holds = self.condition is None or _holds(self.condition, given, statuses)
        if holds is False and self.otherwise == "skip":
            return "condition"
        return "starts" if holds else "fails"


def jsonpath(condition: Condition) -> str:
    kind, name, value = condition
    return f"$.{name}[0] > {value}" if kind == "first" else f'$status.{name} == "{value}"'


def _holds(
    condition: Condition, given: Mapping[str, Any], statuses: Mapping[str, str]
) -> bool | None:
    """Whether it holds; None: it is neither true nor false."""
    kind, name, value = condition
    if kind == "status":
        return bool(statuses[name] == value)
    found = given.get(name)
    if not isinstance(found, list) or not found:
        return None
    first = found[0]
    if first is None:
        return False
    return bool(first > value) if isinstance(first, int) else None
