"""Random graphs of steps that decide and go on without one another, and what each must come to.

What a task comes to belongs to the task, so the end does not depend on who does what when.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model.deciding import Condition, Decides

if TYPE_CHECKING:
    import random


@dataclass(frozen=True)
class Node(Decides):
    """A step, and which of its tasks fail for good: of a single step its only one, index 0.

    A loop has so many iterations, of which each puts out its number, in an array.
    """

    name: str
    is_map: bool = False
    dependencies: tuple[str, ...] = ()
    map_over: str | None = None
    chunk_size: int | None = None
    iterations: int | None = None
    keep: int = 100
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
        choices: dict[str, Any] = {"map_over": self.map_over, "chunk_size": self.chunk_size}
        if self.iterations is not None:
            choices |= {
                "type": "loop",
                "until": f"$iteration == {self.iterations - 1} && $.last[0] == $iteration",
                "max_iterations": 5,
                "keep": self.keep,
            }
        found |= {key: value for key, value in choices.items() if value is not None}
        return found | self.decisions()


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
        statuses = {name: end.status for name, end in ends.items()}
        given = {name: end.output for name, end in ends.items() if end.status == "completed"}
        verdict = node.verdict(node.dependencies, given | {"run": run}, statuses)
        if verdict in ("dependency", "condition"):
            ends[node.name] = End("skipped", reason=verdict)
        elif verdict == "fails":
            fails = _give_up(node, ends) or fails
        elif node.iterations is not None:
            if any(n in node.failing for n in range(node.iterations)):
                fails = _give_up(node, ends) or fails
            else:
                ends[node.name] = End("completed", [node.iterations - 1])
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
            if len(failed) > node.tolerated(len(tasks)):
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
    conditions: list[Condition | None] = [None, None, ("first", "run", chance.randint(0, 2))]
    for other in dependencies:
        conditions.append(("status", other, chance.choice(["completed", "skipped", "failed"])))
        conditions.append(("first", other, chance.randint(0, 2)))
    condition = chance.choice(conditions)
    is_loop = not is_map and chance.random() < 0.2
    last_resort = chance.choice(["fail", "goes_on", "goes_on", "fallback"])
    fallback = [chance.choice([1, 2, None])] * chance.randint(0, 2)
    return Node(
        name,
        is_map,
        dependencies,
        map_over,
        after=after,
        chunk_size=chance.choice([None, None, 1, 2]) if is_map else None,
        iterations=chance.randint(1, 4) if is_loop else None,
        keep=chance.choice([1, 2, 100]),
        joins=joins,
        condition=condition,
        otherwise=chance.choice(["skip", "skip", "fail"]) if condition else "skip",
        goes_on=last_resort == "goes_on",
        fallback=fallback if last_resort == "fallback" else None,
        tolerate=chance.choice([None, 1, 2, "50%", "100%"]) if is_map else None,
        failing=frozenset(n for n in range(4) if chance.random() < (0.2 if is_map else 0.15)),
        output=[chance.choice([0, 1, 2, 3]) for _ in range(chance.choice([0, 1, 2, 4]))],
    )
