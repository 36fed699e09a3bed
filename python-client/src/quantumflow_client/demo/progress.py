"""What the demo says while it runs: a block drawn anew in a terminal, elsewhere a line at times."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import click

_EVERY = 2.0
"""Seconds between two lines where there is no terminal."""

_WINDOW = 1.5
"""Over how many seconds the current speed is measured."""


class Screen:
    """Where the demo writes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._is_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._has_colours = self._is_terminal and not os.environ.get("NO_COLOR")
        self._drawn = 0
        self._next_line = 0.0
        try:
            "█░✓✗".encode(self._stream.encoding or "ascii")
            self.full, self.empty, self.good, self.bad = "█░✓✗"
        except UnicodeEncodeError:
            self.full, self.empty, self.good, self.bad = "#.+x"

    def paint(self, text: str, colour: str | None = None, *, bold: bool = False) -> str:
        """A text in a colour, where there are colours."""
        if not self._has_colours or not (colour or bold):
            return text
        return click.style(text, fg=colour, bold=bold or None)

    def say(self, text: str = "") -> None:
        """Write a line to stay. What was drawn last goes below it, when it is drawn again."""
        self._write(f"{text}\n")

    def draw(self, block: Sequence[str], line: str) -> None:
        """Show how things are: the block, or, without a terminal, the line, if it is time for one.

        Args:
            block: Lines that replace those drawn before.
            line: The same in one line.
        """
        if self._is_terminal:
            width = shutil.get_terminal_size().columns
            plain = [click.unstyle(row) for row in block]
            fitting = [
                row if len(text) < width else text[: width - 1]
                for row, text in zip(block, plain, strict=True)
            ]
            self._write("".join(f"{row}\n" for row in fitting))
            self._drawn = len(fitting)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _EVERY
            self._write(f"{line}\n")

    def keep(self) -> None:
        """Let what was drawn last stay."""
        self._drawn = 0
        self._next_line = 0.0

    def _write(self, text: str) -> None:
        """Write in place of what was drawn, at one go, so that nothing flickers."""
        if self._drawn:
            text = f"\x1b[{self._drawn}F\x1b[J{text}"
            self._drawn = 0
        self._stream.write(text)
        self._stream.flush()


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of a worker."""

    name: str
    note: str
    colour: str | None = None


class Progress:
    """Draws a run."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._history: deque[tuple[float, int]] = deque()

    def draw(self, status: Mapping[str, Any], workers: Sequence[Row]) -> None:
        """Draw a run.

        Args:
            status: What quantumflow.status says of it.
            workers: What is known of its workers.
        """
        steps = status["steps"]
        speed = self._speed(sum(step["tasks"].get("completed", 0) for step in steps))
        width = max(len(step["step_slug"]) for step in steps)
        self._screen.draw(
            [
                *(self._row(step, width, speed) for step in steps),
                "",
                *(f"  {self._screen.paint(row.name, row.colour)}  {row.note}" for row in workers),
            ],
            " ".join(f"  {step['step_slug']} {_counts(step)}" for step in steps),
        )

    def _row(self, step: Mapping[str, Any], width: int, speed: float) -> str:
        tasks = step["tasks"]
        done = tasks.get("completed", 0) / tasks["total"] if tasks["total"] else 0.0
        screen, size = self._screen, 30
        filled = int(done * size)
        colour = "green" if step["status"] == "completed" else "cyan"
        bar = screen.paint(screen.full * filled, colour) + screen.paint(
            screen.empty * (size - filled), "bright_black"
        )
        note = _counts(step)
        if step["status"] == "started" and tasks["total"] > 1:
            note += f"  {speed:,.0f}/s"
        return f"  {step['step_slug']:{width}}  {bar}  {note}"

    def _speed(self, done: int) -> float:
        now = time.monotonic()
        self._history.append((now, done))
        while len(self._history) > 2 and self._history[0][0] < now - _WINDOW:
            self._history.popleft()
        then, before = self._history[0]
        return (done - before) / (now - then) if now > then else 0.0


def _counts(step: Mapping[str, Any]) -> str:
    tasks = step["tasks"]
    if not tasks["total"]:
        return "waits"
    return f"{tasks.get('completed', 0):,} of {tasks['total']:,}"
