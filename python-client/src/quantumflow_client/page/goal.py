"""The tasks of a goal as a tree: below each goal what it was decomposed into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """A task, or a goal that was decomposed.

    Attributes:
        depth: How deep it is, from 0.
        name: Its own name, without those of the goals above.
        status: What became of it; None: it is a goal, or nobody knows.
        waits_for: The ids of the tasks that it waits for.
    """

    depth: int
    name: str
    status: str | None = None
    waits_for: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal whose run it is.

    Attributes:
        words: What it is; None: that is not to be shown.
        tree: Its tasks.
    """

    words: str | None
    tree: Sequence[Line]


def tree_of(graph: Any, states: Mapping[str, str]) -> Iterator[Line]:
    """The tasks of a graph, each below the goals that it is of.

    Args:
        graph: A list of tasks, or an object with `tasks`, or the definition of a workflow.
        states: What became of the tasks, by their ids.
    """
    above: list[str] = []
    for task in tasks_of(graph):
        *goals, name = name_of(task).split("__")
        same = next(
            (i for i, (a, b) in enumerate(zip(above, goals, strict=False)) if a != b),
            min(len(above), len(goals)),
        )
        yield from (Line(depth, goals[depth]) for depth in range(same, len(goals)))
        above = goals
        waits_for = [str(other) for other in task.get("depends_on") or []]
        yield Line(len(goals), name, states.get(name_of(task)), waits_for)


def tasks_of(graph: Any) -> list[Any]:
    """The tasks of a graph: all of it, or its `tasks`, or the steps of a definition."""
    return list(graph if isinstance(graph, list) else graph.get("tasks") or graph.get("steps", []))


def name_of(task: Mapping[str, Any]) -> str:
    """The id of a task."""
    return str(next((task[key] for key in ("id", "name", "slug") if key in task), ""))
