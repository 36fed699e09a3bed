"""Which moment is at which place of a drawing, in per cent of its width.

A run may work for seconds and sleep for days. Where nothing of it was due for long, the drawing is
broken: such a stretch has the same small width, however long it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .words import length

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .words import Clock

_LONG = 0.15
"""What part of the whole time a stretch in which nothing is due must be at least to be broken."""

_BROKEN = 7.0
"""How many per cent of the width a broken stretch has."""

_TICKS = 8
_STEPS = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600,
    900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the axis: its place, and the time of day there."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Break:
    """A stretch in which nothing was due, drawn shorter than it was."""

    x: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class _Piece:
    begin: float
    end: float
    x: float
    width: float
    is_broken: bool


class Scale:
    """Places for the moments of a run.

    Args:
        begin: The moment at the left edge.
        end: That at the right edge.
        busy: When something was due or worked on; without any, nothing is broken.
    """

    def __init__(
        self, begin: datetime, end: datetime, busy: Iterable[tuple[datetime, datetime]] = ()
    ) -> None:
        self.begin = begin
        self.seconds = max((end - begin).total_seconds(), 0.001)
        self.end = begin + timedelta(seconds=self.seconds)
        self._pieces = self._cut(self._merged(busy))

    def x(self, moment: datetime) -> float:
        """Where a moment is, from 0 to 100; before the begin 0, after the end 100."""
        at = min(max((moment - self.begin).total_seconds(), 0.0), self.seconds)
        for piece in self._pieces:
            if at <= piece.end:
                share = (at - piece.begin) / max(piece.end - piece.begin, 1e-9)
                return round(piece.x + share * piece.width, 3)
        return 100.0

    @property
    def breaks(self) -> Sequence[Break]:
        """Where it is broken."""
        return [
            Break(round(p.x, 3), round(p.width, 3), length(p.end - p.begin))
            for p in self._pieces
            if p.is_broken
        ]

    def ticks(self, clock: Clock) -> list[Tick]:
        """At most nine marks at round times of day, none within a broken stretch."""
        drawn = [piece for piece in self._pieces if not piece.is_broken]
        seconds = sum(piece.end - piece.begin for piece in drawn)
        wide = sum(piece.width for piece in drawn)
        step = next((s for s in _STEPS if seconds / s <= _TICKS * wide / 100), seconds / _TICKS)
        local = clock.local(self.begin)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        offset = (local - midnight).total_seconds()
        found: list[Tick] = []
        for piece in drawn:
            first = int((piece.begin + offset) // step)
            for nth in range(first, first + 3 * _TICKS):
                at = nth * step - offset
                if piece.begin <= at <= piece.end:
                    moment = self.begin + timedelta(seconds=at)
                    found.append(Tick(self.x(moment), _label(clock, moment, step)))
        return found

    def _merged(self, busy: Iterable[tuple[datetime, datetime]]) -> list[list[float]]:
        """Stretches in which something was due, as seconds, in order, none beside another."""
        merged: list[list[float]] = []
        for begin, end in sorted(busy):
            first = max((begin - self.begin).total_seconds(), 0.0)
            last = min((end - self.begin).total_seconds(), self.seconds)
            if merged and first <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], last)
            else:
                merged.append([first, last])
        return merged

    def _cut(self, busy: list[list[float]]) -> list[_Piece]:
        edges = [0.0, *(edge for stretch in busy for edge in stretch), self.seconds]
        idle = [
            (begin, end)
            for begin, end in zip(edges[::2], edges[1::2], strict=True)
            if busy and end - begin > _LONG * self.seconds
        ]
        # What is a half of it at least: otherwise everything is to be seen as it is.
        if sum(end - begin for begin, end in idle) < self.seconds / 2:
            return [_Piece(0.0, self.seconds, 0.0, 100.0, is_broken=False)]
        left = self.seconds - sum(end - begin for begin, end in idle)
        each = (100.0 - _BROKEN * len(idle)) / max(left, 1e-9)
        pieces: list[_Piece] = []
        at = x = 0.0
        for begin, end in [*idle, (self.seconds, self.seconds)]:
            if begin > at:
                pieces.append(_Piece(at, begin, x, (begin - at) * each, is_broken=False))
                x += (begin - at) * each
            if end > begin:
                pieces.append(_Piece(begin, end, x, _BROKEN, is_broken=True))
                x += _BROKEN
            at = end
        return pieces


def _label(clock: Clock, moment: datetime, step: float) -> str:
    if step >= 86400:
        return f"{clock.local(moment):%m-%d}"
    if step >= 60:
        return f"{clock.local(moment):%H:%M}"
    text = clock.time(moment + timedelta(microseconds=500), precise=step < 1)
    return text.rstrip("0") if step < 1 and not text.endswith(".000") else text
