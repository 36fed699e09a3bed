"""What a workflow must come to, worked out in Python from the rules and nothing else.

Every task has a script: what its attempts do, one after the other, before one succeeds. Since a
script belongs to a task and not to a moment, the end of a run does not depend on who does what
when, and the same rules hold for one worker and for several.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from model.deciding import Decides

# What an attempt may do: report a failure, report one for good, never report, keep its lease up to
# the deadline and never report, hand the task back, or complete with something that is no array
# although a map maps over it.
FAIL, FATAL, DIE, HANG, RELEASE, VIOLATE = "fail", "fatal", "die", "hang", "release", "violate"

# Seconds from a claim to its deadline: longer than a lease, and than a round of the workers.
TIMEOUT = 5 * 3600


@dataclass(frozen=True)
class Step(Decides):
    """A step of a workflow, and what its tasks do: task n has script n modulo their number."""

    name: str
    is_map: bool
    dependencies: tuple[str, ...]
    map_over: str | None
    max_attempts: int
    max_lost: int
    scripts: tuple[tuple[str, ...], ...] = ((),)
    timeout: int = TIMEOUT
    retry_delay: int = 1
    chunk_size: int | None = None
    # What no worker is given: how long it sleeps, or for which signals it waits.
    sleeps: int | None = None
    signals: tuple[str, ...] = ()
    gives_up_after: int | None = None

    @property
    def is_settled(self) -> bool:
        return self.sleeps is not None or bool(self.signals)

    @property
    def waits_for(self) -> tuple[str, ...]:
        return self.dependencies + self.after

    def tasks(self, items: list[Any]) -> list[Any]:
        """What each task of a map over items is given of them."""
        if self.chunk_size is None:
            return items
        return [items[n : n + self.chunk_size] for n in range(0, len(items), self.chunk_size)]

    def gathered(self, outputs: list[Any]) -> list[Any]:
        """The output of a map whose tasks had these."""
        return outputs if self.chunk_size is None else [o for chunk in outputs for o in chunk]

    def script(self, index: int) -> tuple[str, ...]:
        return self.scripts[index % len(self.scripts)]

    def definition(self) -> dict[str, Any]:
        if self.is_settled:
            return self._settled_definition() | self.decisions()
        found: dict[str, Any] = {
            "name": self.name,
            "type": "map" if self.is_map else "single",
            "dependencies": list(self.dependencies),
            "max_attempts": self.max_attempts,
            "max_lost": self.max_lost,
            "timeout": self.timeout,
            "retry_delay": self.retry_delay,
        }
        if self.map_over is not None:
            found["map_over"] = self.map_over
        if self.chunk_size is not None:
            found["chunk_size"] = self.chunk_size
        return found | self.decisions()

    def _settled_definition(self) -> dict[str, Any]:
        found: dict[str, Any] = {"name": self.name, "dependencies": list(self.dependencies)}
        if self.sleeps is not None:
            return found | {"type": "sleep", "seconds": self.sleeps}
        several = len(self.signals) > 1
        found |= {"type": "wait"}
        found |= {"signals": list(self.signals)} if several else {"signal": self.signals[0]}
        return found | ({"timeout": self.gives_up_after} if self.gives_up_after else {})


@dataclass(frozen=True)
class Flow:
    """A workflow and the input of its runs. Steps come after those they depend on."""

    steps: tuple[Step, ...]
    run_input: Any
    has_callbacks: bool
    callback_script: tuple[str, ...] = ()

    def step(self, name: str) -> Step:
        if name in ("_on_complete", "_on_failure"):
            return Step(name, False, (), None, 3, 3, (self.callback_script,))
        return next(step for step in self.steps if step.name == name)

    def feeds_map(self, name: str) -> bool:
        return not self.step(name).is_map and any(step.map_over == name for step in self.steps)

    @property
    def can_give_up(self) -> bool:
        return any(step.can_give_up for step in self.steps)

    def definition(self, slug: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "slug": slug,
            "steps": [step.definition() for step in self.steps],
            "timeout": TIMEOUT,
        }
        if self.has_callbacks:
            found |= {"on_complete": "completed", "on_failure": "failed"}
        return found


@dataclass
class Counts:
    """How a task ends, after how many attempts of which kind."""

    status: str = "completed"
    attempts: int = 0
    losses: int = 0
    errors: int = 0
    timeouts: int = 0


@dataclass
class Expected:
    """What a run comes to when nobody cancels it."""

    status: str = "completed"
    output: Any = None
    # A step that is not here is never reached, because one before it fails.
    steps: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    inputs: dict[tuple[str, int], Any] = field(default_factory=dict)
    tasks: dict[tuple[str, int], Counts] = field(default_factory=dict)


def output_of(flow: Flow, step: str, task_input: Any) -> Any:
    """What the handler of a step returns: anything, but always the same for the same input."""
    text = json.dumps([step, task_input], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if not step.startswith("_") and flow.feeds_map(step):
        return [f"{digest[:8]} {n}" for n in range(int(digest[0], 16) % 4)]
    output = None if digest[0] in "0123" else {"step": step, "digest": digest[:8]}
    return [output] * len(task_input["items"]) if "items" in task_input else output


def play(step: Step, index: int) -> Counts:
    """How a task ends by its script and its step's limits."""
    counts = Counts()
    for action in step.script(index):
        if action == RELEASE:
            continue
        counts.attempts += 1
        if action == DIE:
            counts.losses += 1
        elif action == HANG:
            counts.timeouts += 1
        else:
            counts.errors += 1
        if (
            action in (FATAL, VIOLATE)
            or counts.losses >= step.max_lost
            or counts.errors + counts.timeouts >= step.max_attempts
        ):
            # A loss that is not the last leaves the failures as they were, and the other way round.
            counts.status = "failed"
            return counts
    counts.attempts += 1
    return counts


def expect(flow: Flow) -> Expected:
    """What a run of the workflow comes to."""
    expected = Expected()
    for step in flow.steps:
        if any(expected.steps.get(name) != "completed" for name in step.dependencies):
            continue
        if step.is_map:
            source = expected.outputs[step.map_over] if step.map_over else flow.run_input
            inputs = [
                {"item": part, "index": n}
                if step.chunk_size is None
                else {"items": part, "index": n * step.chunk_size}
                for n, part in enumerate(step.tasks(source))
            ]
        else:
            outputs = {name: expected.outputs[name] for name in step.dependencies}
            inputs = [{"run": flow.run_input} | outputs]
        results = [play(step, n) for n in range(len(inputs))]
        for n, (task_input, result) in enumerate(zip(inputs, results, strict=True)):
            expected.inputs[step.name, n] = task_input
            expected.tasks[step.name, n] = result
        if any(result.status == "failed" for result in results):
            expected.steps[step.name] = expected.status = "failed"
            continue
        outputs_of_tasks = [output_of(flow, step.name, task_input) for task_input in inputs]
        expected.steps[step.name] = "completed"
        expected.outputs[step.name] = (
            step.gathered(outputs_of_tasks) if step.is_map else outputs_of_tasks[0]
        )
    if expected.status == "completed":
        inner = {name for step in flow.steps for name in step.dependencies}
        expected.output = {n: out for n, out in expected.outputs.items() if n not in inner}
    return expected
