"""quantumflow pause, resume, pauses, run-now: what is handed out, and what not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import click

from quantumflow_client import _sql

from . import _output, _view
from ._command import RUN, App, command
from ._errors import Exit
from ._filter import act, filtered, means_many

F = TypeVar("F", bound=Callable[..., Any])

_PORTION = 10_000
"""How many tasks a call brings back at most."""


def _what(function: F) -> F:
    """The argument and the options that say what is paused or resumed."""
    for option in (
        click.option("--reason", metavar="TEXT", help="Why; kept in audit_log."),
        click.option("--command", "command_", metavar="NAME", help="The tasks of a command."),
        click.option("--flow", metavar="SLUG", help="The tasks of all runs of a workflow."),
        click.option("--queue", metavar="NAME", help="What is in a queue."),
        click.argument("run_id", metavar="[RUN]", type=RUN, required=False),
    ):
        function = option(function)
    return function


def _named(
    run_id: UUID | None, queue: str | None, flow: str | None, command_: str | None
) -> tuple[str, str] | None:
    """What of these is paused: its kind and its name; None for a run.

    Raises:
        UsageError: It is none of them, or several.
    """
    said = {"queue": queue, "workflow": flow, "command": command_}
    named = [(kind, name) for kind, name in said.items() if name is not None]
    if len(named) + (run_id is not None) != 1:
        raise click.UsageError(
            "say one of RUN, --queue, --flow and --command, or by options which runs"
        )
    return named[0] if named else None


@command(
    "pause",
    example="quantumflow pause 0198c0de-0000-7000-8000-000000000000\n"
    "quantumflow pause --flow order --reason 'wrong prices'",
)
@_what
@filtered
def pause(
    app: App,
    run_id: UUID | None,
    queue: str | None,
    flow: str | None,
    command_: str | None,
    reason: str | None,
    yes: bool,
) -> int:
    """Hold runs, a queue, flow or command.

    Nothing of it starts until it is resumed. Tasks that run are not disturbed, and what they report
    is kept. Of a queue, a flow or a command runs start as ever; their tasks wait. With options as
    --workflow it is all runs that these mean.
    """
    named = None if app.filter else _named(run_id, queue, flow, command_)
    if named is None:
        if means_many(app, run_id):
            return act(app, "pause", "paused", yes=yes, reason=reason)
        assert run_id is not None
        app.show_status(run_id, app.client.pause(run_id, reason))
        return Exit.OK
    kind, name = named
    paused_at = app.run(_sql.steering.pause(kind, name, reason))
    app.show(
        {"kind": kind, "name": name, "paused_at": paused_at},
        f"{kind} {name} is paused since {_output.when(paused_at)}.",
    )
    return Exit.OK


@command(
    "resume",
    example="quantumflow resume 0198c0de-0000-7000-8000-000000000000\n"
    "quantumflow resume --flow order",
)
@_what
@filtered
def resume(
    app: App,
    run_id: UUID | None,
    queue: str | None,
    flow: str | None,
    command_: str | None,
    reason: str | None,
    yes: bool,
) -> int:
    """Let runs, a queue, flow or command go on."""
    named = None if app.filter else _named(run_id, queue, flow, command_)
    if named is None:
        if means_many(app, run_id):
            return act(app, "resume", "resumed", yes=yes, reason=reason)
        assert run_id is not None
        app.show_status(run_id, app.client.resume(run_id, reason))
        return Exit.OK
    kind, name = named
    back = last = app.run(_sql.steering.resume(kind, name, reason))
    while kind == "workflow" and last == _PORTION:
        last = app.run(_sql.steering.resume(kind, name, reason))
        back += last
    app.show(
        {"kind": kind, "name": name, "tasks": back},
        f"{kind} {name} is not paused; {back} of its tasks waited.",
    )
    return Exit.OK


@command("pauses", example="quantumflow pauses")
def pauses(app: App) -> None:
    """List what is paused, and by whom."""
    found = app.run(_sql.steering.list_pauses())
    app.show_rows(found, _view.PAUSE_COLUMNS, none="Nothing is paused, but runs may be.")


@command(
    "run-now",
    example="quantumflow run-now 0198c0de-0000-7000-8000-000000000000 charge",
)
@click.argument("run_id", metavar="RUN", type=RUN)
@click.argument("step", metavar="STEP")
@click.argument("task_index", metavar="[TASK]", type=int, default=0)
def run_now(app: App, run_id: UUID, step: str, task_index: int) -> int:
    """Let a task wait no longer for its time.

    For one that was to be tried again later, or to start after a delay. Ends with 1 when there is
    nothing to hurry: it has ended, or waits for something else.
    """
    outcome = app.client.run_now(run_id, step, task_index)
    said = {
        "due": "is due now",
        "was_due": "was due already",
        "running": "is being worked on",
        "waits": "sleeps, or waits for a signal: see quantumflow signal",
        "ended": "has ended: see quantumflow retry",
    }
    app.show(
        {"run_id": run_id, "step_slug": step, "task_index": task_index, "outcome": outcome},
        f"{step} {said.get(outcome, outcome)}.",
    )
    return Exit.UNWELL if outcome in ("waits", "ended") else Exit.OK
