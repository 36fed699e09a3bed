"""What a page tells of a run, asked of the database's functions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID

from quantumflow_client import _json, _sql
from quantumflow_client._runs import moment_of

from .goal import Goal, tree_of
from .words import brief

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantumflow_client._call import Call
    from quantumflow_client._sql.looking import Attempt, Estimate, Event, PathStep, Reason
    from quantumflow_client._sql.runs import FailedAttempt, RunSummary

T = TypeVar("T")

SETTLED = ("sleep", "wait", "flow", "plan")
"""Types of steps that no worker is given: such a step waits, and nobody works on it."""

FEW = 2000
"""How many attempts are looked at one by one; of more, how many there are at a time."""

_ITEMS = 3
"""How many outputs of a map are shown."""

_FAILURES = 50
_EVENTS = 500
_CHILDREN = 1000


class Ask(Protocol):
    """Carries a call out, and returns its answer."""

    def __call__(self, call: Call[T], /) -> T:
        """Carry one out."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the run, as status() tells it.

    Attributes:
        number: Its place in the definition, from 1.
        slug: Its name.
        type: single, map, sleep and so on.
        status: created, started, completed, failed or skipped.
        depends_on: What it waits for.
        after: What it waits for, and is not given.
        tasks: How many tasks it has, by status, "total" and "failures" among them.
        started_at: When it became ready.
        ended_at: When it ended.
        note: Why it was skipped or failed, for what signal it waits, until when.
        flow: The workflow of which its tasks are runs; None: they are no runs.
        child: The run that its task is, where it has one task.
    """

    number: int
    slug: str
    type: str
    status: str
    depends_on: Sequence[str]
    after: Sequence[str]
    tasks: Mapping[str, int]
    started_at: datetime | None
    ended_at: datetime | None
    note: str | None
    flow: str | None = None
    child: str | None = None

    @property
    def total(self) -> int:
        """How many tasks it has."""
        return self.tasks.get("total", 0)

    @property
    def is_map(self) -> bool:
        """Whether it has a task for each item."""
        return self.type == "map"


@dataclass(frozen=True)
class Facts:
    """All that a page tells of a run.

    Attributes:
        at: When it was asked.
        run: What status() says of it.
        steps: Its steps, in the order of the definition.
        attempts: Every attempt, in order of when it was due.
        path: The steps that decided how long it took.
        reasons: Why it goes on, or does not; nothing of one that has ended.
        failures: The attempts that failed last.
        events: What happened; None where that is too much to tell.
        outputs: Of each step that was asked, its first outputs, with their indices.
        items: Of a map, what each task was given, in short.
        version: That of quantumflow in the database.
        children: The runs that its steps have started, the latest first.
        eta: When it is expected to end; None of one that has.
        goal: The goal whose run it is; None: it is none's.
    """

    at: datetime
    run: Mapping[str, Any]
    steps: Sequence[Step]
    attempts: Sequence[Attempt]
    path: list[PathStep]
    reasons: list[Reason]
    failures: list[FailedAttempt]
    events: Sequence[Event] | None
    outputs: Mapping[str, list[tuple[int, str]]] = field(default_factory=dict)
    items: Mapping[str, list[str]] = field(default_factory=dict)
    version: str = ""
    children: list[RunSummary] = field(default_factory=list)
    eta: Estimate | None = None
    goal: Goal | None = None

    @cached_property
    def begin(self) -> datetime:
        """When it was started."""
        started = moment_of(self.run["created_at"])
        assert started is not None
        return started

    @cached_property
    def end(self) -> datetime:
        """When it ended, or now; what callbacks and people did afterwards is included."""
        ended = moment_of(self.run["ended_at"]) or self.at
        return max([ended, *(a.ended_at for a in self.attempts if a.ended_at is not None)])

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        ended = moment_of(self.run["ended_at"]) or self.at
        return max((ended - self.begin).total_seconds(), 0.0)

    @property
    def is_open(self) -> bool:
        """Whether it goes on."""
        return self.run["ended_at"] is None

    def without_values(self) -> Facts:
        """The same, without what went in and came out."""
        hidden = {"input": "(left out)", "output": None, "headers": None}
        goal = self.goal and replace(self.goal, words=None)
        return replace(self, run={**self.run, **hidden}, outputs={}, items={}, goal=goal)

    @cached_property
    def attempts_of(self) -> Mapping[str, list[Attempt]]:
        """The attempts at the tasks of each step."""
        found: dict[str, list[Attempt]] = defaultdict(list)
        for attempt in self.attempts:
            found[attempt.step_slug].append(attempt)
        return found

    @cached_property
    def lost(self) -> list[Attempt]:
        """The attempts that were lost with their workers."""
        return [attempt for attempt in self.attempts if attempt.kind == "lost"]


def read(ask: Ask, run_id: UUID, *, outputs: bool = True) -> Facts:
    """Ask for all that a page tells of a run.

    Args:
        ask: Carries calls out.
        run_id: The run.
        outputs: Whether to ask for outputs of its steps, too.
    """
    run: Any = ask(_sql.runs.status(run_id))
    steps = [_step(number, row) for number, row in enumerate(run["steps"], 1)]
    attempts = ask(_sql.looking.list_attempts(run_id, None))
    is_small = len(attempts) <= FEW
    is_open = run["ended_at"] is None
    return Facts(
        at=datetime.now(timezone.utc),
        run=run,
        steps=steps,
        attempts=attempts,
        path=ask(_sql.looking.critical_path(run_id)),
        reasons=ask(_sql.looking.why(run_id, only_stuck=False)) if is_open else [],
        failures=ask(_sql.runs.list_failures(run_id, max_failures=_FAILURES)),
        events=ask(_sql.looking.timeline(run_id))[:_EVENTS] if is_small else None,
        outputs=_outputs(ask, run_id, steps) if outputs else {},
        items=_items(ask, run_id, run, steps) if is_small else {},
        version=ask(_sql.installation.version()),
        eta=ask(_sql.looking.eta(run_id)) if is_open else None,
        children=_children(ask, run_id) if any(step.flow for step in steps) else [],
        goal=_goal(ask, run),
    )


def _goal(ask: Ask, run: Mapping[str, Any]) -> Goal | None:
    given = run["input"]
    if not run["workflow_slug"].startswith("_goal_") or "goal_id" not in given:
        return None
    found = ask(_sql.goals.goal_status(UUID(given["goal_id"])))
    if found["run_id"] != run["run_id"]:
        return None  # in this one a planner was asked
    return Goal(found["goal"], list(tree_of(found["graph"], found["tasks"])))


def _children(ask: Ask, run_id: UUID) -> list[RunSummary]:
    return ask(
        _sql.runs.list_runs(None, status=None, max_runs=_CHILDREN, before=None, parent=run_id)
    )


def _step(number: int, row: Mapping[str, Any]) -> Step:
    return Step(
        number=number,
        slug=row["step_slug"],
        type=row["step_type"],
        status=row["status"],
        depends_on=row["depends_on"] or [],
        after=row.get("after") or [],
        tasks=row["tasks"],
        started_at=moment_of(row["started_at"]),
        ended_at=moment_of(row["ended_at"]),
        note=_note(row),
        flow=row.get("child_flow"),
        child=row.get("child"),
    )


def _note(row: Mapping[str, Any]) -> str | None:
    """What else there is to say of a step."""
    if row.get("skip_reason"):
        what = {"dependency": "one of its dependencies"}.get(row["skip_reason"], row["condition"])
        return f"skipped because of {what}"
    if row.get("fell_back"):
        return f"its output is its fallback: {row['error_message']}"
    if row.get("failed_tasks"):
        return f"{row['failed_tasks']} of its tasks failed, and were tolerated"
    if row["error_message"]:
        return str(row["error_message"])
    if row.get("signals") and row["status"] == "started":
        return f"waits for {' or '.join(row['signals'])}"
    return None


def _outputs(ask: Ask, run_id: UUID, steps: Sequence[Step]) -> dict[str, list[tuple[int, str]]]:
    return {
        step.slug: ask(
            _sql.tasks.list_outputs(
                run_id, step.slug, after_index=-1, max_items=_ITEMS, read=lambda text, _: text
            )
        )
        for step in steps
        if step.status in ("started", "completed") and step.tasks.get("completed")
    }


def _items(
    ask: Ask, run_id: UUID, run: Mapping[str, Any], steps: Sequence[Step]
) -> dict[str, list[str]]:
    """What the tasks of each map were given, in short: the output of what it maps over."""
    if not any(step.is_map and step.total for step in steps):
        return {}
    definition: Any = ask(_sql.definitions.get_flow(run["workflow_slug"], run["version"]))
    found = {}
    for step in definition["steps"]:
        if step.get("type") == "map" and "chunk_size" not in step:
            values = _mapped(ask, run_id, run, step)
            if isinstance(values, list) and len(values) <= FEW:
                found[step["name"]] = [brief(value) for value in values]
    return found


def _mapped(ask: Ask, run_id: UUID, run: Mapping[str, Any], step: Mapping[str, Any]) -> Any:
    over = step.get("map_over") or next(iter(step.get("dependencies", [])), "run")
    if over == "run":
        return run["input"]
    text = ask(_sql.tasks.step_output(run_id, over))
    return None if text is None else _json.decode(text)
