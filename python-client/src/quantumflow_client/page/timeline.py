"""Where the attempts of a run go on its timeline: a row for each step, a lane for each worker.

Widths are in per cent, heights in pixels. What is dotted waits, what is solid is worked on.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .facts import FEW, SETTLED
from .scale import Scale
from .words import length, number, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from quantumflow_client._sql.looking import Attempt

    from .facts import Facts, Step
    from .scale import Break, Tick
    from .words import Clock

HEIGHT = 12
"""How many pixels a row of bars has."""

_DENSE = 56
_SINGLE = 12
"""How many tasks of a step have a row each at most; more are stacked, as many as go on at once."""

_STACK = 40
"""How many bars are stacked at most; of more only their number is drawn."""

_BINS = 120
_THIN = 0.25


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that took time, in its place.

    Attributes:
        x: Its left edge.
        width: Its width.
        y: Its upper edge.
        kind: waits, works, completed, again, failed, timeout, lost, silent, cancelled, undone.
        title: What to say of it.
    """

    x: float
    width: float
    y: int
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Column:
    """How many there were at a time: a place, a width, and a height of 100."""

    x: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the timeline.

    Attributes:
        name: A step, or a worker.
        notes: What to say below its name.
        height: Of its drawing.
        bars: What is drawn one by one.
        columns: What is drawn as how many at a time, of `top` at most.
        top: How many the highest column stands for.
        told: The same in words.
        number: Of a step, its place in the definition; of a worker, that among them.
        status: Of a step.
        is_critical: Whether it is on the critical path.
    """

    name: str
    notes: Sequence[str]
    height: int
    bars: Sequence[Bar]
    columns: Sequence[Column]
    top: int
    told: str
    number: int
    status: str = ""
    is_critical: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment with a name, across all rows."""

    at: datetime
    label: str
    kind: str
    x: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run, drawn over time."""

    ticks: Sequence[Tick]
    breaks: Sequence[Break]
    marks: Sequence[Mark]
    steps: Sequence[Row]
    workers: Sequence[Row]
    kinds: frozenset[str]
    """What occurs in it, for the legend."""


def lay_out(facts: Facts, clock: Clock, marks: Sequence[Mark] = ()) -> Timeline:
    """Draw a run over time.

    Args:
        facts: The run.
        clock: Says in which zone.
        marks: Moments to name.
    """
    scale = Scale(facts.begin, facts.end, _busy(facts))
    drawing = _Drawing(facts, scale, clock)
    steps = [drawing.step(step) for step in facts.steps if step.started_at is not None]
    workers = drawing.workers()
    bars = (bar.kind for row in [*steps, *workers] for bar in row.bars)
    columns = (column.kind for row in [*steps, *workers] for column in row.columns)
    return Timeline(
        ticks=scale.ticks(clock),
        breaks=scale.breaks,
        marks=[Mark(m.at, m.label, m.kind, scale.x(m.at)) for m in marks],
        steps=steps,
        workers=workers,
        kinds=frozenset([*bars, *columns]),
    )


def _busy(facts: Facts) -> Iterable[tuple[datetime, datetime]]:
    settled = {step.slug for step in facts.steps if step.type in SETTLED}
    for attempt in facts.attempts:
        if attempt.step_slug in settled or attempt.step_slug.startswith("_run_timeout"):
            continue
        # A claim that waited long was waited for by nobody else: its delay is an idle stretch.
        begin = attempt.began_at or attempt.due_at
        if begin is not None and begin <= (attempt.ended_at or facts.end):
            yield begin, attempt.ended_at or facts.end
            if attempt.due_at is not None and attempt.due_at <= begin:
                yield attempt.due_at, begin


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Draws the rows of one run."""

    facts: Facts
    scale: Scale
    clock: Clock
    lost: set[tuple[str, int]] = field(init=False)
    last_signs: dict[str, datetime] = field(init=False)
    """When each worker that lost something was heard of last, as far as its tasks tell."""

    def __post_init__(self) -> None:
        lost = {(a.step_slug, a.task_index) for a in self.facts.lost}
        object.__setattr__(self, "lost", lost)
        object.__setattr__(self, "last_signs", _last_signs(self.facts.attempts))

    # Steps

    def step(self, step: Step) -> Row:
        """The row of a step."""
        attempts = self.facts.attempts_of.get(step.slug, [])
        took = length((step.ended_at or self.facts.end) - (step.started_at or self.facts.end))
        notes = [_kind(step), took if step.ended_at else f"{took} so far"]
        bars: list[Bar] = []
        columns: list[Column] = []
        height, top = HEIGHT, 0
        if step.flow is not None:
            bars, height = self._children(step)
        elif step.type in SETTLED:
            bars = [self._waiting(step)]
        elif step.total <= _SINGLE:
            rows = {index: n for n, index in enumerate(sorted({a.task_index for a in attempts}))}
            bars = [bar for a in attempts for bar in self._attempt(a, rows[a.task_index] * HEIGHT)]
            height = HEIGHT * max(len(rows), 1)
        else:
            bars, columns, height, top = self._crowd(attempts)
            notes.append(f"{top} at once")
        return Row(
            name=step.slug,
            notes=notes,
            height=height,
            bars=bars,
            columns=columns,
            top=top,
            told=f"{step.slug}: {', '.join([step.status, *notes])}",
            number=step.number,
            status=step.status,
            is_critical=any(p.step_slug == step.slug for p in self.facts.path),
        )

    def _children(self, step: Step) -> tuple[list[Bar], int]:
        """The runs that a step has started, those that went on at once below each other."""
        bars: list[Bar] = []
        free_from: list[datetime] = []
        end = self.facts.end
        # Of which step a run is, its row does not say; those of steps with one run do.
        of_others = {s.child for s in self.facts.steps if s.type == "flow" and s.slug != step.slug}
        for run in reversed(self.facts.children):
            if run.workflow_slug != step.flow or str(run.run_id) in of_others:
                continue
            began, ended = run.started_at or run.created_at, run.ended_at
            row = next((n for n, free in enumerate(free_from) if free <= began), len(free_from))
            if row >= _STACK:
                continue
            free_from[row : row + 1] = [ended or end]
            kind = "works" if ended is None else run.status
            title = f"run {run.run_id} of {run.workflow_slug}: {run.status}, "
            title += self._times(began, ended)
            bars.append(self._bar(began, ended or end, row * HEIGHT, kind, title))
        if step.started_at is not None and not bars:
            bars = [self._waiting(step)]
        return bars, HEIGHT * max(len(free_from), 1)

    def _waiting(self, step: Step) -> Bar:
        assert step.started_at is not None
        end = step.ended_at or self.facts.end
        what = {"sleep": "sleeps", "wait": "waits for a signal"}.get(step.type, "waits for a run")
        title = f"{step.slug}: {what}, {self._times(step.started_at, step.ended_at)}"
        return self._bar(step.started_at, end, 0, "waits", title)

    def _attempt(self, attempt: Attempt, y: int) -> list[Bar]:
        """The waiting and the work of one attempt."""
        name = self._name(attempt)
        until = attempt.began_at or attempt.ended_at or self.facts.end
        bars = []
        if attempt.due_at is not None and attempt.due_at < until:
            waited = length(until - attempt.due_at)
            title = f"{name}: waited {waited} from {self.clock.time(attempt.due_at, True)}"
            bars.append(self._bar(attempt.due_at, until, y, "waits", title))
        return bars + self._work(attempt, y)

    def _work(self, attempt: Attempt, y: int) -> list[Bar]:
        """The work of one attempt; nothing where nobody has begun it."""
        if attempt.began_at is None:
            return []
        end = attempt.ended_at or self.facts.end
        kind = self._kind(attempt)
        title = f"{self._name(attempt)}: {self._told(attempt)}"
        if kind != "lost":
            return [self._bar(attempt.began_at, end, y, kind, title)]
        heard = min(max(self.last_signs[attempt.worker or ""], attempt.began_at), end)
        silent = f"{self._name(attempt)}: nothing was heard of {attempt.worker} any more"
        return [
            self._bar(attempt.began_at, heard, y, "lost", title),
            self._bar(heard, end, y, "silent", silent),
        ]

    def _crowd(self, attempts: Sequence[Attempt]) -> tuple[list[Bar], list[Column], int, int]:
        """A step of many tasks: stacked as they go on at once, or how many there are at a time."""
        begun = [a for a in attempts if a.began_at is not None]
        top = _at_once(begun, self.facts.end)
        waits = self._first_to_last(attempts)
        if len(begun) > FEW or top > _STACK:
            return waits, self._columns(begun, top), HEIGHT + _DENSE, top
        rows = _stacked(begun, self.facts.end)
        bars = [bar for a, row in rows for bar in self._work(a, (row + 1) * HEIGHT)]
        return waits + bars, [], HEIGHT * (top + 1), top

    def _first_to_last(self, attempts: Sequence[Attempt]) -> list[Bar]:
        """For how long some of many tasks waited, as one line."""
        due = [a.due_at for a in attempts if a.due_at is not None]
        began = [a.began_at or a.ended_at or self.facts.end for a in attempts]
        if not due or min(due) >= max(began):
            return []
        title = f"some of them waited: {self._times(min(due), max(began))}"
        return [self._bar(min(due), max(began), 0, "waits", title)]

    # Workers

    def workers(self) -> list[Row]:
        """A row for each worker, in the order of their names."""
        of: dict[str, list[Attempt]] = defaultdict(list)
        for attempt in self.facts.attempts:
            if attempt.worker is not None and attempt.began_at is not None:
                of[attempt.worker].append(attempt)
        names = sorted(of, key=lambda name: (len(name), name))
        return [self._worker(n, name, of[name]) for n, name in enumerate(names, 1)]

    def _worker(self, place: int, name: str, attempts: Sequence[Attempt]) -> Row:
        done = sum(a.outcome == "completed" for a in attempts)
        lost = sum(a.kind == "lost" for a in attempts)
        failed = sum(a.outcome == "failed" for a in attempts) - lost
        notes = [f"{number(done)} done"]
        notes += [f"{number(failed)} failed"] if failed else []
        notes += [f"{number(lost)} lost"] if lost else []
        top = _at_once(attempts, self.facts.end)
        bars: list[Bar] = []
        columns: list[Column] = []
        height = HEIGHT * top
        if len(self.facts.attempts) > FEW or top > _STACK:
            columns, height = self._columns(attempts, top), _DENSE
        else:
            rows = _stacked(attempts, self.facts.end)
            bars = [bar for a, row in rows for bar in self._work(a, row * HEIGHT)]
        return Row(name, notes, height, bars, columns, top, f"{name}: {', '.join(notes)}", place)

    # Both

    def _columns(self, attempts: Iterable[Attempt], top: int) -> list[Column]:
        """How many were worked on at a time, in so many stretches, of `top` at most."""
        size = self.scale.seconds / _BINS
        changes: dict[str, list[float]] = {}
        for attempt in attempts:
            if attempt.began_at is None:
                continue
            kind = self._kind(attempt)
            bins = changes.setdefault(kind, [0.0] * (_BINS + 1))
            begin = self._place(attempt.began_at, size)
            end = self._place(attempt.ended_at or self.facts.end, size)
            _spread(bins, begin, end)
        totals = [sum(bins[n] for bins in changes.values()) for n in range(_BINS)]
        columns: list[Column] = []
        for n in range(_BINS):
            left = self.scale.x(self.facts.begin + timedelta(seconds=n * size))
            right = self.scale.x(self.facts.begin + timedelta(seconds=(n + 1) * size))
            height = min(totals[n], float(top))
            # The highest first: each lower one is drawn over it.
            for kind in sorted(changes):
                if changes[kind][n] > 0:
                    share = round(max(height, 0.0) / top * 100, 2)
                    columns.append(Column(left, round(right - left, 3), share, kind))
                    height -= changes[kind][n]
        return columns

    def _place(self, moment: datetime, size: float) -> float:
        return min(max((moment - self.facts.begin).total_seconds() / size, 0.0), float(_BINS))

    def _bar(self, begin: datetime, end: datetime, y: int, kind: str, title: str) -> Bar:
        x = self.scale.x(begin)
        return Bar(x, round(max(self.scale.x(end) - x, _THIN), 3), y, kind, title)

    def _kind(self, attempt: Attempt) -> str:
        if attempt.outcome == "started":
            return "works"
        if attempt.outcome == "failed":
            return attempt.kind if attempt.kind in ("lost", "timeout") else "failed"
        is_again = attempt.outcome == "completed" and attempt.attempt > 1
        if is_again and (attempt.step_slug, attempt.task_index) in self.lost:
            return "again"
        return attempt.outcome

    def _name(self, attempt: Attempt) -> str:
        items = self.facts.items.get(attempt.step_slug)
        name = attempt.step_slug
        if items is not None and attempt.task_index < len(items):
            name = f"{name} {attempt.task_index}, {items[attempt.task_index]}"
        elif attempt.task_index:
            name = f"{name} {attempt.task_index}"
        return f"{name}, attempt {attempt.attempt}" if attempt.attempt > 1 else name

    def _told(self, attempt: Attempt) -> str:
        assert attempt.began_at is not None
        what = attempt.kind or {"started": "works"}.get(attempt.outcome, attempt.outcome)
        by = f" on {attempt.worker}" if attempt.worker else ""
        error = f": {attempt.error_message[:200]}" if attempt.error_message else ""
        return f"{what}{by}, {self._times(attempt.began_at, attempt.ended_at)}{error}"

    def _times(self, begin: datetime, end: datetime | None) -> str:
        took = length((end or self.facts.end) - begin)
        until = "now" if end is None else self.clock.time(end, True)
        return f"{took}, {self.clock.time(begin, True)} to {until}"


def _spread(bins: list[float], begin: float, end: float) -> None:
    """Add to each bin what part of it lies between two places."""
    n = int(begin)
    while n < end and n < len(bins):
        bins[n] += max(min(end, n + 1) - max(begin, n), 0.02)
        n += 1


def _kind(step: Step) -> str:
    if step.flow is not None:
        return f"{plural(step.total, 'run')} of {step.flow}"
    if step.type == "loop":
        return f"loop, {plural(step.total, 'iteration')}"
    if step.is_map:
        return f"map, {plural(step.total, 'task')}"
    return step.type if step.type in SETTLED else "one task"


def _at_once(attempts: Sequence[Attempt], end: datetime) -> int:
    """How many went on at once at most."""
    changes = [(a.began_at or end, 1) for a in attempts]
    changes += [(a.ended_at, -1) for a in attempts if a.ended_at is not None]
    now = most = 0
    for _, change in sorted(changes):  # what ends makes room for what begins then
        now += change
        most = max(most, now)
    return max(most, 1)


def _stacked(attempts: Sequence[Attempt], end: datetime) -> list[tuple[Attempt, int]]:
    """Each with a row, in the order of their starts, so that none covers another."""
    free_from: list[datetime] = []
    found = []
    for attempt in sorted(attempts, key=lambda a: a.began_at or end):
        began = attempt.began_at or end
        row = next((n for n, free in enumerate(free_from) if free <= began), len(free_from))
        free_from[row : row + 1] = [attempt.ended_at or datetime.max.replace(tzinfo=end.tzinfo)]
        found.append((attempt, row))
    return found


def _last_signs(attempts: Sequence[Attempt]) -> dict[str, datetime]:
    """When each worker claimed or reported last."""
    last: dict[str, datetime] = {}
    for attempt in attempts:
        if attempt.began_at is None:
            continue
        signs = [attempt.began_at]
        if attempt.ended_at is not None and attempt.kind != "lost":
            signs.append(attempt.ended_at)
        name = attempt.worker or ""
        last[name] = max([*signs, *([last[name]] if name in last else [])])
    return last
