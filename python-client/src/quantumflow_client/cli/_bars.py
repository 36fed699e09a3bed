"""A run's timeline in text: a bar for each step, dotted where it waits, solid where it works."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ._output import fitted, one_line, terminal_size, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantumflow_client._sql.looking import Attempt

_WAITS, _WORKS, _FAILS, _LOSES = ".", "#", "!", "x"
_LEAST, _MOST = 20, 100


def bars(attempts: Sequence[Attempt], begin: datetime, end: datetime) -> list[str]:
    """A line for each step, in order of when it was due.

    A step of many tasks is worked on where one of them is, and waits where none is and one waits.

    Args:
        attempts: All of the run, in order of when they were due.
        begin: When the run began.
        end: When it ended, or now.
    """
    steps: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        steps[attempt.step_slug].append(attempt)
    if not steps:
        return ["Nothing of it was due yet."]
    width = max(len(one_line(slug)) for slug in steps)
    room = max(_LEAST, min(_MOST, terminal_size()[0] - width - 14))
    scale = Scale(begin, end, room)
    lines = [
        f"{one_line(slug):<{width}}  {scale.bar(of_step)}  {_length(_worked(of_step, end))}"
        for slug, of_step in steps.items()
    ]
    lines.append(f"{'':<{width}}  {when(begin)} to {when(end)}, {_length(end - begin)}")
    lines.append(
        f"{'':<{width}}  {_WAITS} waits  {_WORKS} is worked on  {_FAILS} fails  {_LOSES} is lost"
    )
    return fitted(lines)


class Scale:
    """Which time is at which place of a line."""

    def __init__(self, begin: datetime, end: datetime, room: int) -> None:
        self._begin = begin
        self._end = end
        self._room = room
        self._seconds = max((end - begin).total_seconds(), 1e-6)

    def bar(self, attempts: Sequence[Attempt]) -> str:
        """The attempts of a step."""
        marks = [" "] * self._room
        for attempt in attempts:
            until = attempt.ended_at or self._end
            if attempt.due_at is not None:
                self._fill(marks, attempt.due_at, attempt.began_at or until, _WAITS)
        for attempt in attempts:
            if attempt.began_at is not None:
                self._fill(marks, attempt.began_at, attempt.ended_at or self._end, _WORKS)
        for attempt in attempts:
            if attempt.outcome == "failed" and attempt.ended_at is not None:
                mark = _LOSES if attempt.kind == "lost" else _FAILS
                marks[self._place(attempt.ended_at)] = mark
        return "".join(marks)

    def _fill(self, marks: list[str], begin: datetime, end: datetime, mark: str) -> None:
        if begin <= end:
            for place in range(self._place(begin), self._place(end) + 1):
                marks[place] = mark

    def _place(self, moment: datetime) -> int:
        share = (moment - self._begin).total_seconds() / self._seconds
        return min(max(int(share * self._room), 0), self._room - 1)


def _worked(attempts: Sequence[Attempt], end: datetime) -> timedelta:
    times = ((a.ended_at or end) - a.began_at for a in attempts if a.began_at is not None)
    return sum(times, timedelta())


def _length(length: timedelta) -> str:
    """A length of time, to be read at a glance."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"
