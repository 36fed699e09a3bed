"""quantumflow watch: runs as they go."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING
from uuid import UUID

import click

from quantumflow_client import _sql

from . import _output, _view
from ._command import RUN, App, Seconds, command
from ._errors import Exit

if TYPE_CHECKING:
    from quantumflow_client._runs import RunStatus as Status
    from quantumflow_client._sql.runs import RunSummary


@command(
    "watch",
    example="quantumflow watch 0198c0de-0000-7000-8000-000000000000\n"
    "quantumflow watch $(quantumflow start order)",
)
@click.argument("run_id", metavar="[RUN]", type=RUN, required=False)
@click.option(
    "--interval",
    type=Seconds(least=0.01),
    metavar="SECONDS",
    default=1,
    show_default=True,
    help="How often to look.",
)
def watch(app: App, run_id: UUID | None, interval: float) -> int:
    """Follow a run to its end, or list those under way.

    On a terminal the picture is renewed in place. Elsewhere each change is a line, and with
    --json each change is the run's whole status. Ends with the run: with 1 when it failed or
    was cancelled. A server that restarts meanwhile is waited for.
    """
    if run_id is None:
        return _watch_all(app, interval)
    picture = _picture_of(app)
    while True:
        asked_at = time.monotonic()
        status = app.run_patiently(_sql.runs.status(run_id, tree=True))
        picture.show(status)
        if status["status"] in _view.ENDED:
            picture.end(status)
            return _view.exit_of(status)
        # A run of many tasks takes long to describe: do not keep the database busy with that.
        time.sleep(max(interval, 10 * (time.monotonic() - asked_at)))


def _watch_all(app: App, interval: float) -> int:
    if app.as_json or not _is_live():
        app.show_rows(_under_way(app), _view.RUN_COLUMNS, none=_NONE)
        return Exit.OK
    screen = _Screen()
    while True:
        rows = [[cell(run) for cell in _view.RUN_COLUMNS.values()] for run in _under_way(app)]
        screen.show(_output.table(list(_view.RUN_COLUMNS), rows) if rows else [_NONE])
        time.sleep(interval)


_NONE = "No run is under way."


def _under_way(app: App) -> list[RunSummary]:
    runs = [
        run
        for status in ("started", "paused")
        for run in app.run_patiently(
            _sql.runs.list_runs(None, status=status, max_runs=100, before=None)
        )
    ]
    return sorted(runs, key=lambda run: run.run_id, reverse=True)


def _is_live() -> bool:
    """Whether the output is a terminal on which lines can be renewed."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class _Screen:
    """Lines that are written again and again in the same place."""

    def __init__(self) -> None:
        self._height = 0

    def show(self, lines: list[str]) -> None:
        _, height = _output.terminal_size()
        if len(lines) >= height:  # what has scrolled away cannot be written again
            lines = [*lines[: height - 2], f"  and {len(lines) - height + 2} more"]
        if self._height:
            sys.stdout.write(f"\x1b[{self._height}F\x1b[J")
        click.echo("\n".join(_output.fitted(lines)))
        self._height = len(lines)


class _Picture:
    """On a terminal: the run and its steps, renewed in place."""

    def __init__(self) -> None:
        self._screen = _Screen()

    def show(self, status: Status) -> None:
        # What matters now comes first, for it may not all fit.
        steps = sorted(
            zip(status["steps"] + status["callbacks"], _view.steps(status), strict=True),
            key=lambda pair: pair[0]["status"] not in ("failed", "started"),
        )
        fits = len(steps) + 1 < _output.terminal_size()[1]
        lines = _view.steps(status) if fits else [line for _, line in steps]
        below = _view.tree(status.get("children", []))
        self._screen.show([_view.title(status), *lines, *below])

    def end(self, status: Status) -> None:
        if status["error_message"] is not None:
            click.echo(_output.one_line(status["error_message"]))


class _Lines(_Picture):
    """Elsewhere: a line for what has changed."""

    def __init__(self) -> None:
        self._shown: list[str] = []

    def show(self, status: Status) -> None:
        lines = [_view.title(status), *_view.steps(status)]
        lines += _view.tree(status.get("children", []))
        for line in lines:
            if line not in self._shown:
                click.echo(line)
        self._shown = lines


class _Documents(_Picture):
    """With --json: the run's status whenever it has changed."""

    def __init__(self) -> None:
        self._shown: Status | None = None

    def show(self, status: Status) -> None:
        if status != self._shown:
            click.echo(_output.as_json(status))
        self._shown = status

    def end(self, status: Status) -> None:
        pass


def _picture_of(app: App) -> _Picture:
    if app.as_json:
        return _Documents()
    return _Picture() if _is_live() else _Lines()
