"""Where the steps of a run go in its graph: layers, from left to right or from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from .facts import SETTLED
from .words import length, plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from .facts import Step

    _Place: TypeAlias = str | tuple[str, int]

_MOST_PASSED = 300
"""How many lines are led past the boxes of other layers; of more, all lead straight."""

_HEIGHT = 70.0
_PADDING = 16.0
_MARGIN = 12.0
_NARROW, _WIDE = 130.0, 250.0

# How wide characters are, of 15 pixels and bold, at most; DejaVu's are the widest of those asked
# for. Sub-lines are of 12.5 pixels, and not bold.
_CHARACTER, _SUB = 10.2, 7.6


@dataclass(frozen=True, slots=True)
class Node:
    """A step in its place; `name` and `lines` are what fits into its box."""

    step: Step
    x: float
    y: float
    name: str
    lines: Sequence[str]
    is_critical: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """A line from a step to one that waits for it."""

    path: str
    is_order_only: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """A flow, drawn."""

    width: float
    height: float
    node_width: float
    node_height: float
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    told: str


def draw(steps: Sequence[Step], *, upright: bool, critical: frozenset[str] = frozenset()) -> Graph:
    """Draw the steps in layers.

    Args:
        steps: The steps, in the order of the definition.
        upright: From top to bottom, not from left to right.
        critical: Those that decided how long the run took.
    """
    lines = {step.slug: _lines(step) for step in steps}
    wanted = max(
        (max(len(s.slug) * _CHARACTER, *(len(t) * _SUB for t in lines[s.slug])) for s in steps),
        default=_NARROW,
    )
    width = min(max(wanted + 2 * _PADDING, _NARROW), _WIDE)
    places, size = _places(steps, width, upright)
    nodes = [
        Node(
            step,
            *places[step.slug],
            _fitted(step.slug, width, _CHARACTER),
            [_fitted(line, width, _SUB) for line in lines[step.slug]],
            step.slug in critical,
        )
        for step in steps
    ]
    layers = _layers(steps)
    edges = []
    for step in steps:
        for source in _waited_for(step):
            if source in places:
                way = [places[p] for p in _way(source, step, layers) if p in places]
                path = _edge(way, step, places[step.slug], width, upright)
                edges.append(Edge(path, source in step.after))
    return Graph(*size, width, _HEIGHT, nodes, edges, _told(steps))


def _told(steps: Sequence[Step]) -> str:
    said = [
        f"{step.slug}{' after ' + ' and '.join(step.depends_on) if step.depends_on else ''}"
        f", {step.status}"
        for step in steps[:40]
    ]
    more = [f"and {plural(len(steps) - 40, 'step')} more"] if len(steps) > 40 else []
    return "; ".join(said + more)


def _lines(step: Step) -> list[str]:
    what = f"map, {plural(step.total, 'task')}" if step.is_map else "one task"
    if step.type in SETTLED:
        what = step.type
    if step.flow is not None:
        what = f"{'runs' if step.is_map else 'a run'} of {step.flow}"
    if step.type == "plan":
        what = "plan"
    if step.type == "loop":
        what = f"loop, {plural(step.total, 'iteration')}"
    if step.is_map and step.flow is None and not step.total and step.status == "created":
        what = "map"
    took = ""
    if step.started_at is not None and step.ended_at is not None:
        took = f", {length(step.ended_at - step.started_at)}"
    return [what, f"{step.status}{took}"]


def _fitted(text: str, width: float, character: float) -> str:
    most = int((width - 2 * _PADDING) / character + 0.01)
    return text if len(text) <= most else f"{text[: most - 1]}\u2026"


def _places(
    steps: Sequence[Step], width: float, upright: bool
) -> tuple[dict[_Place, tuple[float, float]], tuple[float, float]]:
    """Where each box is, each line that passes a layer, and how large the drawing is."""
    rows = _ordered(steps)
    gap, side = (46.0, 24.0) if upright else (64.0, 26.0)
    along, across = (_HEIGHT, width) if upright else (width, _HEIGHT)

    def size(place: _Place) -> float:
        return across if isinstance(place, str) else 0.0

    totals = [sum(size(p) + side for p in row) - side for row in rows]
    total_across = max(totals, default=0.0)
    places: dict[_Place, tuple[float, float]] = {}
    for layer, (row, total) in enumerate(zip(rows, totals, strict=True)):
        a = _MARGIN + layer * (along + gap)
        b = _MARGIN + (total_across - total) / 2
        for place in row:
            places[place] = (b, a + 8) if upright else (a, b + 8)
            b += size(place) + side
    total_along = len(rows) * (along + gap) - gap + 2 * _MARGIN + 8
    total_across += 2 * _MARGIN + 8
    return places, ((total_across, total_along) if upright else (total_along, total_across))


def _ordered(steps: Sequence[Step]) -> list[list[_Place]]:
    """The layers, each sorted by where what it waits for is, so that few lines cross."""
    layers = _layers(steps)
    rows: list[list[_Place]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    sources: dict[_Place, list[_Place]] = {}
    for step in steps:
        rows[layers[step.slug]].append(step.slug)
        sources[step.slug] = [
            _way(source, step, layers)[-1] for source in _waited_for(step) if source in layers
        ]
    passed = {
        place
        for step in steps
        for source in _waited_for(step)
        if source in layers
        for place in _passed(source, step, layers)
    }
    for source, layer in sorted(passed) if len(passed) <= _MOST_PASSED else ():
        rows[layer].append((source, layer))
        before = (source, layer - 1)
        sources[source, layer] = [before if before in passed else source]
    at: dict[_Place, float] = {}
    for row in rows:
        given = {place: n for n, place in enumerate(row)}
        row.sort(key=lambda place: (_middle(sources[place], at), given[place]))
        for n, place in enumerate(row):
            at[place] = n - (len(row) - 1) / 2
    return rows


def _waited_for(step: Step) -> list[str]:
    return [*step.depends_on, *step.after]


def _way(source: str, step: Step, layers: Mapping[str, int]) -> list[_Place]:
    """Through which places a line to a step leads: from its source, past the layers between."""
    return [source, *_passed(source, step, layers)]


def _passed(source: str, step: Step, layers: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(source, layer) for layer in range(layers[source] + 1, layers[step.slug])]


def _middle(sources: Sequence[_Place], at: Mapping[_Place, float]) -> float:
    found = [at[source] for source in sources if source in at]
    return sum(found) / len(found) if found else 0.0


def _layers(steps: Sequence[Step]) -> dict[str, int]:
    """How many edges lead to a step, along the longest way."""
    known = {step.slug for step in steps}
    waits = {step.slug: {*step.depends_on, *step.after} & known for step in steps}
    layers: dict[str, int] = {}
    while waits:
        ready = [slug for slug, sources in waits.items() if sources <= layers.keys()]
        if not ready:  # a circle, which no stored flow has
            return layers | dict.fromkeys(waits, max(layers.values(), default=-1) + 1)
        for slug in ready:
            layers[slug] = max((layers[d] + 1 for d in waits.pop(slug)), default=0)
    return layers


def _edge(
    way: Sequence[tuple[float, float]],
    step: Step,
    target: tuple[float, float],
    width: float,
    upright: bool,
) -> str:
    """A curve from the edge of one box past others to that of another; a map's is a stack."""
    stack = 8.0 if step.is_map else 0.0
    (x, y), *passed = way
    path = [(x + width / 2, y + _HEIGHT) if upright else (x + width, y + _HEIGHT / 2)]
    for x, y in passed:  # straight past the layer
        path += [(x, y), (x, y + _HEIGHT)] if upright else [(x, y), (x + width, y)]
    x, y = target
    path.append((x + width / 2, y - 7 - stack) if upright else (x - 7, y + _HEIGHT / 2))
    text = f"M{path[0][0]:g} {path[0][1]:g}"
    for n, ((x1, y1), (x2, y2)) in enumerate(pairwise(path)):
        if n % 2:
            text += f"L{x2:g} {y2:g}"
        elif upright:
            bend = max((y2 - y1) / 2, 14)
            text += f"C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
        else:
            bend = max((x2 - x1) / 2, 20)
            text += f"C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
    return text
