"""quantumflow why, timeline, queues, workers and so on: what is going on."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import UUID

import click

from quantumflow_client import _sql
from quantumflow_client._runs import moment_of

from . import _bars, _view
from ._command import RUN, Ago, App, command, moment

EXAMPLE = "0198c0de-0000-7000-8000-000000000000"


@command("why", example=f"quantumflow why {EXAMPLE}\nquantumflow why --stuck")
@click.argument("run_id", metavar="[RUN]", type=RUN, required=False)
@click.option("--stuck", is_flag=True, help="Only what does not go on until somebody acts.")
def why(app: App, run_id: UUID | None, stuck: bool) -> None:
    """Say what a run waits for.

    Without a run: what all that are open wait for. The worst first: what nobody serves, what a
    silent worker holds, what waits for a worker that is free.
    """
    reasons = app.run(_sql.looking.why(run_id, only_stuck=stuck))
    app.show_rows(reasons, _view.REASON_COLUMNS, none="Nothing waits.")


@command("queues", example="quantumflow queues")
def queues(app: App) -> None:
    """Count what waits and runs, by queue and command."""
    found = app.run(_sql.looking.list_queues())
    app.show_rows(found, _view.QUEUE_COLUMNS, none="Nothing waits or runs.")


@command("workers", example="quantumflow workers --all")
@click.option("--all", "all_", is_flag=True, help="Also those that have stopped, or are silent.")
def workers(app: App, all_: bool) -> None:
    """List the workers that are alive."""
    found = app.run(_sql.looking.list_workers(alive_only=not all_))
    app.show_rows(found, _view.WORKER_COLUMNS, none="There are no such workers.")


@command("waits", example="quantumflow waits --workflow order\nquantumflow waits --input")
@click.option("--workflow", metavar="SLUG", help="Only of this workflow.")
@click.option("--signal", metavar="NAME", help="Only those that wait for this signal.")
@click.option(
    "--limit", type=int, metavar="N", default=100, show_default=True, help="How many runs at most."
)
@click.option("--input", "with_input", is_flag=True, help="Also what each step is given.")
def waits(app: App, workflow: str | None, signal: str | None, limit: int, with_input: bool) -> None:
    """List what waits for a signal, and until when."""
    found = app.client.waits(workflow, signal, max_runs=limit, with_input=with_input)
    columns = _view.WAIT_COLUMNS | (_view.INPUT_COLUMN if with_input else {})
    app.show_rows(found, columns, none="Nothing waits for a signal.")


@command(
    "timeline", example=f"quantumflow timeline {EXAMPLE}\nquantumflow timeline {EXAMPLE} --events"
)
@click.argument("run_id", metavar="RUN", type=RUN)
@click.option("--events", is_flag=True, help="What happened, a line each, instead of bars.")
def timeline(app: App, run_id: UUID, events: bool) -> None:
    """Draw when each step waited and was worked on.

    With --json, or --events, it is what happened, in order.
    """
    if events or app.as_json:
        happened = app.run(_sql.looking.timeline(run_id))
        app.show_rows(happened, _view.EVENT_COLUMNS, none="")
        return
    found = app.run(_sql.runs.status(run_id))
    attempts = app.run(_sql.looking.list_attempts(run_id, None))
    begin, end = moment_of(found["created_at"]), moment_of(found["ended_at"])
    # What was done by hand, or by callbacks, may have ended after the run.
    ends = [a.ended_at for a in attempts if a.ended_at is not None]
    last = max([end or datetime.now(timezone.utc), *ends])
    click.echo("\n".join([_view.title(found), "", *_bars.bars(attempts, begin or last, last)]))


@command("critical-path", example=f"quantumflow critical-path {EXAMPLE}")
@click.argument("run_id", metavar="RUN", type=RUN)
def critical_path(app: App, run_id: UUID) -> None:
    """Name the steps that decided how long a run took.

    How long each waited, how long it was worked on, and, as slack, by how much sooner it could have
    ended before another one would have decided.
    """
    found = app.run(_sql.looking.critical_path(run_id))
    app.show_rows(found, _view.PATH_COLUMNS, none="Nothing of it has started.")


@command("eta", example=f"quantumflow eta {EXAMPLE}")
@click.argument("run_id", metavar="RUN", type=RUN)
def eta(app: App, run_id: UUID) -> None:
    """Say when a run is expected to end.

    From how long its steps took before, along the longest way through what is left of it.
    """
    found = app.run(_sql.looking.eta(run_id))
    app.show(found, _view.estimate(found))


@command(
    "history",
    example=f"quantumflow history --since 2h\nquantumflow history --run {EXAMPLE}",
)
@click.option(
    "--since", metavar="TIME", callback=moment, help="From when on: 2h, a time; 1h if no run."
)
@click.option("--until", metavar="TIME", callback=moment, help="Before when.")
@click.option("--run", "run_id", metavar="RUN", type=RUN, help="Only of this run, and all of it.")
def history(app: App, since: datetime | None, until: datetime | None, run_id: UUID | None) -> None:
    """Say what happened, and what people did.

    Of a run also each step and attempt; of all of them how they began and ended, and which attempts
    failed.
    """
    if since is None and run_id is None:
        since = datetime.now(timezone.utc) - timedelta(hours=1)
    found = app.run(_sql.looking.history(since, until, run_id))
    app.show_rows(found, _view.PAST_COLUMNS, none="Nothing happened.")


@command("stats", example="quantumflow stats --workflow order\nquantumflow stats --since 7d")
@click.option("--workflow", metavar="SLUG", help="Only this workflow.")
@click.option(
    "--since", metavar="AGE", type=Ago(), default="1d", show_default=True, help="How far back."
)
@click.option(
    "--baseline",
    metavar="AGE",
    type=Ago(),
    default="7d",
    show_default=True,
    help="How far back from there that goes with which it is compared.",
)
def stats(app: App, workflow: str | None, since: timedelta, baseline: timedelta) -> None:
    """Say how long steps waited and worked.

    Attempts are counted a minute or two after their run has ended. A line without a step is of the
    runs themselves.
    """
    found = app.run(_sql.looking.stats(workflow, since, baseline))
    app.show_rows(found, _view.STATS_COLUMNS, none="Nothing has ended in that time.")


@command("tasks", example=f"quantumflow tasks {EXAMPLE} charge")
@click.argument("run_id", metavar="RUN", type=RUN)
@click.argument("step", metavar="[STEP]", required=False)
def tasks(app: App, run_id: UUID, step: str | None) -> None:
    """List the attempts at the tasks of a run.

    All of them, or those of STEP; for a task that waits, also the one that it waits for.
    """
    found = app.run(_sql.looking.list_attempts(run_id, step))
    app.show_rows(found, _view.ATTEMPT_COLUMNS, none="It has no tasks yet.")


@command("diff", example="quantumflow diff order 1 2")
@click.argument("slug")
@click.argument("from_version", type=int)
@click.argument("to_version", type=int)
def diff(app: App, slug: str, from_version: int, to_version: int) -> None:
    """Say what differs between two versions of SLUG."""
    found = app.run(_sql.looking.diff_flow(slug, from_version, to_version))
    app.show_rows(found, _view.DIFFERENCE_COLUMNS, none="They are the same.")


@command("size", example="quantumflow size")
def size(app: App) -> None:
    """Say how large the tables and queues are."""
    found = app.run(_sql.looking.list_sizes())
    app.show_rows(found, _view.SIZE_COLUMNS, none="")
