"""Where things go on the page's timeline and graph: numbers only, for the template to draw.

Times are per mille of the run's time, so that a drawing stretches to whatever width there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from .queries import Attempt, Step, Story, Worker

SCALE = 1000.0
_BINS = 90
_THIN = 1.2
"""How wide a bar is at least, to be seen."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that took time, in its place."""

    x: float
    width: float
    row: int
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A worker's part of the timeline.

    Attributes:
        number: Which worker, from 1.
        name: Its name.
        rows: How many tasks it had at once at most.
        done: What it completed at the first attempt.
        again: What it completed after another worker had lost it.
        lost: What it held when it ended.
        waiting: From its end to when its tasks were handed out again.
        tasks: How many tasks it completed.
        gone: When it was gone, if it lost tasks.
    """

    number: int
    name: str
    rows: int
    done: Sequence[Bar]
    again: Sequence[Bar]
    lost: Sequence[Bar]
    waiting: Sequence[Bar]
    tasks: int
    gone: float | None


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Density:
    """How many tasks were completed when, by worker.

    Attributes:
        bars: x, width, y and height of each bar and the worker's number; heights are of 100.
        top: Tasks a second at the top of the scale.
    """

    bars: Sequence[tuple[float, float, float, float, int]]
    top: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run, drawn over time."""

    ticks: Sequence[Tick]
    steps: Sequence[tuple[Step, Bar, str]]
    lanes: Sequence[Lane]
    density: Density
    killed: float | None
    again: float | None
    """When the first lost task was handed out again."""


def lay_out(story: Story, killed_at: datetime | None = None) -> Timeline:
    """Draw a run over time.

    Args:
        story: The run.
        killed_at: When a worker was killed; by default the last that was heard of it.
    """
    scale = _Scale(story)
    lanes = [
        _lane(scale, story, number, worker, killed_at)
        for number, worker in enumerate(story.workers, 1)
    ]
    again = [a.started_at for a in story.attempts if a.comes_again]
    gone = [lane.gone for lane in lanes if lane.gone is not None]
    return Timeline(
        ticks=_ticks(scale, story.seconds),
        steps=[_step(scale, step) for step in story.steps if step.started_at is not None],
        lanes=lanes,
        density=_density(scale, story),
        killed=min(gone, default=None),
        again=scale.x(min(again)) if again else None,
    )


class _Scale:
    def __init__(self, story: Story) -> None:
        self.start, self.end = story.started_at, story.ended_at
        self.seconds = max(story.seconds, 0.001)

    def x(self, time: datetime | None) -> float:
        """Where a time is; None: now."""
        seconds = ((time or self.end) - self.start).total_seconds()
        return round(min(max(seconds / self.seconds, 0.0), 1.0) * SCALE, 2)

    def bar(self, start: datetime, end: datetime | None, row: int, title: str) -> Bar:
        x = self.x(start)
        return Bar(x, round(max(self.x(end) - x, _THIN), 2), row, title)


def _step(scale: _Scale, step: Step) -> tuple[Step, Bar, str]:
    assert step.started_at is not None
    seconds = ((step.ended_at or scale.end) - step.started_at).total_seconds()
    return step, scale.bar(step.started_at, step.ended_at, 0, step.slug), duration(seconds)


def _lane(
    scale: _Scale, story: Story, number: int, worker: Worker, killed_at: datetime | None
) -> Lane:
    attempts = [a for a in story.attempts if a.worker_id == worker.worker_id]
    gone_at = None
    if any(attempt.is_lost for attempt in attempts):
        gone_at = killed_at or _last_sign_of(attempts)
    rows = _rows(attempts, gone_at)
    done, again, lost, waiting = [], [], [], []
    for attempt, row in zip(attempts, rows, strict=True):
        title = f"{attempt.step_slug} {attempt.item or ''}".rstrip()
        if attempt.is_lost:
            lost.append(scale.bar(attempt.started_at, gone_at, row, f"{title}: lost"))
            back = _next(story, attempt)
            waiting.append(scale.bar(gone_at or scale.start, back, row, f"{title}: waiting"))
        elif attempt.comes_again:
            again.append(scale.bar(attempt.started_at, attempt.ended_at, row, f"{title}: again"))
        else:
            done.append(scale.bar(attempt.started_at, attempt.ended_at, row, title))
    return Lane(
        number=number,
        name=worker.name,
        rows=max(rows, default=0) + 1,
        done=done,
        again=again,
        lost=lost,
        waiting=waiting,
        tasks=sum(not a.is_lost and a.ended_at is not None for a in attempts),
        gone=None if gone_at is None else scale.x(gone_at),
    )


def _next(story: Story, lost: Attempt) -> datetime | None:
    """When a task that was lost was handed out again; None: it has not been yet."""
    key = (lost.step_slug, lost.task_index)
    later = (
        attempt.started_at
        for attempt in story.attempts
        if (attempt.step_slug, attempt.task_index) == key and attempt.started_at > lost.started_at
    )
    return min(later, default=None)


def _last_sign_of(attempts: Sequence[Attempt]) -> datetime:
    claims = [attempt.started_at for attempt in attempts]
    reports = [a.ended_at for a in attempts if a.ended_at is not None and not a.is_lost]
    return max(claims + reports)


def _rows(attempts: Sequence[Attempt], gone_at: datetime | None) -> list[int]:
    """A row for each attempt, in the order of their starts, so that none covers another."""
    free_from: list[datetime] = []
    rows = []
    for attempt in attempts:
        end = attempt.ended_at
        row = next((r for r, t in enumerate(free_from) if t <= attempt.started_at), len(free_from))
        until = end or gone_at or datetime.max.replace(tzinfo=attempt.started_at.tzinfo)
        free_from[row : row + 1] = [until]
        rows.append(row)
    return rows


def _density(scale: _Scale, story: Story) -> Density:
    counts: dict[tuple[int, UUID], int] = {}
    totals = [0] * _BINS
    for attempt in story.attempts:
        if attempt.is_lost or attempt.ended_at is None:
            continue
        number = min(int(scale.x(attempt.ended_at) / SCALE * _BINS), _BINS - 1)
        counts[number, attempt.worker_id] = counts.get((number, attempt.worker_id), 0) + 1
        totals[number] += 1
    width = SCALE / _BINS
    top = _round_up(max(totals) * _BINS / scale.seconds)
    height = 100.0 / (top * scale.seconds / _BINS)
    bars = []
    filled = [0.0] * _BINS
    for lane, worker in enumerate(story.workers, 1):
        for number in range(_BINS):
            if count := counts.get((number, worker.worker_id), 0):
                filled[number] += count * height
                y = 100.0 - filled[number]
                bars.append((number * width, width * 0.86, y, count * height, lane))
    return Density([(*map(_short, bar[:4]), bar[4]) for bar in bars], top)  # type: ignore[misc]


def _short(number: float) -> float:
    return round(number, 2)


def _round_up(number: float) -> int:
    """The next number with one digit and zeros, at least 1; not 7 or 9, to have round halves."""
    size = 1
    while True:
        for digit in (1, 2, 3, 4, 5, 6, 8):
            if digit * size >= number:
                return digit * size
        size *= 10


def _ticks(scale: _Scale, seconds: float) -> list[Tick]:
    """Between four and ten marks at round seconds."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
    step = next((s for s in steps if seconds / s <= 8), seconds / 8)
    count = int(seconds / step + 1e-9)
    return [
        Tick(_short(i * step / scale.seconds * SCALE), f"{i * step:g} s") for i in range(count + 1)
    ]


def duration(seconds: float) -> str:
    """A time for people."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


# The graph


@dataclass(frozen=True, slots=True)
class Node:
    """A step in its place."""

    step: Step
    x: float
    y: float
    note: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A flow, drawn."""

    width: float
    height: float
    node_width: float
    node_height: float
    nodes: Sequence[Node]
    edges: Sequence[str]


def draw_graph(story: Story, *, upright: bool) -> Graph:
    """Draw the steps in layers, from left to right, or from top to bottom.

    Args:
        story: The run.
        upright: From top to bottom.
    """
    layers = _layers(story.steps)
    across = max((sum(n == layer for n in layers.values()) for layer in layers.values()), default=1)
    last = max(layers.values(), default=0)
    width, height = (170.0, 64.0)
    gap, side, margin = (46.0, 22.0, 12.0) if upright else (70.0, 28.0, 12.0)
    along_size, across_size = (height, width) if upright else (width, height)
    detour = 44.0 if upright else 40.0

    place: dict[str, tuple[float, float]] = {}
    taken: dict[int, int] = {}
    for step in story.steps:
        layer = layers[step.slug]
        nth = taken[layer] = taken.get(layer, -1) + 1
        along = margin + layer * (along_size + gap)
        aside = margin + nth * (across_size + side)
        place[step.slug] = (aside, along) if upright else (along, aside)

    long_way = across * (across_size + side) + margin - side + detour
    edges = []
    for step in story.steps:
        for dependency in step.depends_on:
            (x1, y1), (x2, y2) = place[dependency], place[step.slug]
            is_far = layers[step.slug] - layers[dependency] > 1
            if upright and is_far:
                edges.append(
                    _curve(
                        (x1 + width, y1 + height / 2),
                        (x2 + width, y2 + height / 2),
                        long_way,
                        upright,
                    )
                )
            elif upright:
                top = y2 - 15 if step.is_map else y2 - 7  # a map is drawn as a stack
                edges.append(f"M{x1 + width / 2} {y1 + height} L{x2 + width / 2} {top}")
            elif is_far:
                edges.append(
                    _curve(
                        (x1 + width / 2, y1 + height),
                        (x2 + width / 2, y2 + height),
                        long_way,
                        upright,
                    )
                )
            else:
                edges.append(f"M{x1 + width} {y1 + height / 2} L{x2 - 7} {y2 + height / 2}")

    along_total = margin * 2 + (last + 1) * along_size + last * gap
    across_total = long_way + margin
    total = (across_total, along_total) if upright else (along_total, across_total)
    return Graph(
        width=total[0],
        height=total[1],
        node_width=width,
        node_height=height,
        nodes=[Node(step, *place[step.slug], _note(step)) for step in story.steps],
        edges=edges,
    )


def _curve(
    start: tuple[float, float], end: tuple[float, float], beyond: float, upright: bool
) -> str:
    (x1, y1), (x2, y2) = start, end
    bend = 18.0
    if upright:
        return (
            f"M{x1} {y1} H{beyond - bend} Q{beyond} {y1} {beyond} {y1 + bend} "
            f"V{y2 - bend} Q{beyond} {y2} {beyond - bend} {y2} H{x2 + 7}"
        )
    return (
        f"M{x1} {y1} V{beyond - bend} Q{x1} {beyond} {x1 + bend} {beyond} "
        f"H{x2 - bend} Q{x2} {beyond} {x2} {beyond - bend} V{y2 + 7}"
    )


def _layers(steps: Sequence[Step]) -> dict[str, int]:
    """How many edges lead to a step, along the longest way."""
    waits = {step.slug: set(step.depends_on) for step in steps}
    layers: dict[str, int] = {}
    while waits:
        ready = [slug for slug, dependencies in waits.items() if dependencies <= layers.keys()]
        for slug in ready:
            layers[slug] = max((layers[d] + 1 for d in waits.pop(slug)), default=0)
    return layers


def _note(step: Step) -> str:
    what = f"map, {step.tasks:,} tasks" if step.is_map else "one task"
    if step.started_at is None or step.ended_at is None:
        return what
    return f"{what}, {duration((step.ended_at - step.started_at).total_seconds())}"
