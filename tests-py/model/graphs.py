"""Random graphs of steps that decide and go on without one another, and what each must come to.

What a task comes to belongs to the task, so the end does not depend on who does what when.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = object()


@dataclass(frozen=True)
class Node:
    """A step, and which of its tasks fail for good: of a single step its only one, index 0."""

    name: str
    is_map: bool = False
    dependencies: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    map_over: str | None = None
    chunk_size: int | None = None
    joins: str = "all"
    condition: tuple[Any, ...] | None = None
    otherwise: str = "skip"
    goes_on: bool = False
    fallback: list[Any] | None = None
    tolerate: int | str | None = None
    failing: frozenset[int] = frozenset()
    output: list[Any] = field(default_factory=list)

    def definition(self) -> dict[str, Any]:
        """The step's entry in a definition."""
        found: dict[str, Any] = {
            "name": self.name,
            "type": "map" if self.is_map else "single",
            "dependencies": list(self.dependencies),
            "max_attempts": 1,
            "max_lost": 1,
            "retry_delay": 0,
        }
        choices = {
            "after": list(self.after) or None,
            "map_over": self.map_over,
            "chunk_size": self.chunk_size,
            "join": self.joins if self.dependencies and self.joins != "all" else None,
            "if": self.jsonpath(),
            "otherwise": self.otherwise if self.condition and self.otherwise != "skip" else None,
            "on_error": "continue" if self.goes_on else None,
            "fallback": self.fallback,
            "tolerate": self.tolerate,
        }
        return found | {key: value for key, value in choices.items() if value is not None}

    def jsonpath(self) -> str | None:
        match self.condition:
            case None:
                return None
            case ("run", n):
                return f"$.run[0] > {n}"
            case ("status", name, status):
                return f'$status.{name} == "{status}"'
            case ("first", name, n):
                return f"$.{name}[0] > {n}"
        raise AssertionError(self.condition)


@dataclass
class End:
    """What a step ends as."""

    status: str
    output: Any = None
    reason: str | None = None
    gave_up: int = 0


def fold(nodes: list[Node], run: list[Any]) -> tuple[dict[str, End], bool]:
    """What each step that ends comes to, as its run goes on, and whether the run fails."""
    ends: dict[str, End] = {}
    fails = False
    for node in nodes:
        if any(name not in ends for name in node.dependencies + node.after):
            continue
        done = [name for name in node.dependencies if ends[name].status == "completed"]
        enough = {"all": len(done) == len(node.dependencies), "any": bool(done), "none": True}
        holds = _holds(node, ends, run)
        if not enough[node.joins] and node.dependencies:
            ends[node.name] = End("skipped", reason="dependency")
        elif holds is False and node.otherwise == "skip":
            ends[node.name] = End("skipped", reason="condition")
        elif holds is not True:
            fails = _give_up(node, ends) or fails
        elif not node.is_map:
            if 0 in node.failing:
                fails = _give_up(node, ends) or fails
            else:
                ends[node.name] = End("completed", node.output)
        else:
            source = run if node.map_over is None else ends[node.map_over].output or []
            size = node.chunk_size or 1
            tasks = [source[n : n + size] for n in range(0, len(source), size)]
            failed = {n for n in range(len(tasks)) if n in node.failing}
            if len(failed) > _tolerated(node, len(tasks)):
                fails = _give_up(node, ends) or fails
            else:
                output = [
                    None if n in failed else [n] for n, items in enumerate(tasks) for _ in items
                ]
                ends[node.name] = End("completed", output, gave_up=len(failed))
    return ends, fails


def _give_up(node: Node, ends: dict[str, End]) -> bool:
    """End a step that has failed; whether its run fails with it."""
    if node.fallback is not None:
        ends[node.name] = End("completed", node.fallback, gave_up=1)
    elif node.goes_on:
        ends[node.name] = End("failed", gave_up=1)
    return node.name not in ends


def _tolerated(node: Node, tasks: int) -> int:
    if isinstance(node.tolerate, str):
        return tasks * int(node.tolerate.rstrip("%")) // 100
    return node.tolerate or 0


def _holds(node: Node, ends: dict[str, End], run: list[Any]) -> bool | None:
    """Whether its condition holds; None: it is neither true nor false."""
    match node.condition:
        case None:
            return True
        case ("run", n):
            return None if not run else run[0] > n
        case ("status", name, status):
            return bool(ends[name].status == status)
        case ("first", name, n):
            output = ends[name].output
            if ends[name].status != "completed" or not output:
                return None
            return (
                False
                if output[0] is None
                else None
                if isinstance(output[0], list)
                else output[0] > n
            )
    raise AssertionError(node.condition)


def random_graph(chance: random.Random) -> list[Node]:
    """One to ten steps in an order in which they could run."""
    nodes: list[Node] = []
    for number in range(chance.randint(1, 10)):
        names = [node.name for node in nodes]
        waits = tuple(chance.sample(names, min(len(names), chance.choice([0, 1, 1, 2, 3]))))
        cut = chance.choice([0, 0, 0, 1]) if len(waits) > 1 else 0
        after, dependencies = waits[:cut], waits[cut:]
        nodes.append(_random_node(chance, f"s{number}", dependencies, after))
    return nodes


def _random_node(
    chance: random.Random, name: str, dependencies: tuple[str, ...], after: tuple[str, ...]
) -> Node:
    is_map = chance.random() < 0.35
    joins = chance.choice(["all", "all", "any", "none"]) if dependencies else "all"
    map_over = chance.choice(dependencies) if is_map and dependencies and joins != "none" else None
    is_map = is_map and (map_over is not None or not dependencies)
    conditions: list[tuple[Any, ...] | None] = [None, None, ("run", chance.randint(0, 2))]
    for other in dependencies:
        conditions.append(("status", other, chance.choice(["completed", "skipped", "failed"])))
        conditions.append(("first", other, chance.randint(0, 2)))
    condition = chance.choice(conditions)
    last_resort = chance.choice(["fail", "goes_on", "goes_on", "fallback"])
    fallback = [chance.choice([1, 2, None])] * chance.randint(0, 2)
    return Node(
        name,
        is_map,
        dependencies,
        after,
        map_over,
        chunk_size=chance.choice([None, None, 1, 2]) if is_map else None,
        joins=joins,
        condition=condition,
        otherwise=chance.choice(["skip", "skip", "fail"]) if condition else "skip",
        goes_on=last_resort == "goes_on",
        fallback=fallback if last_resort == "fallback" else None,
        tolerate=chance.choice([None, 1, 2, "50%", "100%"]) if is_map else None,
        failing=frozenset(n for n in range(4) if chance.random() < (0.2 if is_map else 0.15)),
        output=[chance.choice([0, 1, 2, 3]) for _ in range(chance.choice([0, 1, 2, 4]))],
    )
