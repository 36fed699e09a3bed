"""Which runs, by the options of quantumflow list, and what is done to all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import click

from quantumflow_client import _sql

from . import _output
from ._command import App, moment
from ._errors import Exit

F = TypeVar("F", bound=Callable[..., Any])

_PORTION = 100
"""How many runs there are in a transaction: a report of one of them waits for its end."""


def _keep(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    assert option.name is not None
    if value not in (None, False):
        ctx.ensure_object(App).filter[option.name] = value


def _keep_moment(ctx: click.Context, option: click.Parameter, text: str | None) -> None:
    at = moment(ctx, option, text)
    _keep(ctx, option, None if at is None else at.isoformat())


def _option(name: str, key: str, metavar: str, said: str, **more: Any) -> Callable[[F], F]:
    more = {"callback": _keep} | more
    return click.option(name, key, metavar=metavar, expose_value=False, help=said, **more)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option("--workflow", "workflow_slug", "SLUG", "Runs of this workflow."),
    _option("--status", "status", "STATUS", "Runs that are that."),
    _option("--error", "error", "TEXT", "Runs whose error contains that."),
    _option("--since", "since", "TIME", "Runs created since.", callback=_keep_moment),
    _option("--until", "until", "TIME", "Runs created before.", callback=_keep_moment),
    _option("--ended-since", "ended_since", "TIME", "Runs ended since.", callback=_keep_moment),
    _option("--ended-until", "ended_until", "TIME", "Runs ended before.", callback=_keep_moment),
    _option("--version", "version", "N", "Runs of this version.", type=int),
    click.option("--all", "all", is_flag=True, expose_value=False, callback=_keep, help="All."),
    click.option("--yes", is_flag=True, help="Do it; else only say how many there are."),
)


def filtered(function: F) -> F:
    """Besides a RUN, options that say which runs."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def means_many(app: App, run_id: UUID | None) -> bool:
    """Whether many runs are meant, and not the one.

    Raises:
        UsageError: Neither one is, nor many; or both.
    """
    if (run_id is None) is not bool(app.filter):
        raise click.UsageError("say one RUN, or by options which runs; --all for all of them")
    return run_id is None


def act(app: App, verb: str, done: str, *, yes: bool, reason: str | None) -> int:
    """Do something to all runs that the options mean, a portion at a time; or say how many."""
    if not yes:
        found = app.run(
            _sql.steering.act_on_runs(verb, app.filter, 10_000, dry_run=True, reason=reason)
        )
        counts = Counter((a.workflow_slug, a.status, a.error_message) for a in found)
        rows = [
            {"workflow": slug, "status": status, "error": error, "runs": runs}
            for (slug, status, error), runs in counts.most_common()
        ]
        head: dict[str, Callable[[Any], object]] = {
            "workflow": lambda row: row["workflow"],
            "status": lambda row: row["status"],
            "runs": lambda row: row["runs"],
            "error": lambda row: row["error"],
        }
        app.show_rows(rows, head, none="There are no such runs.")
        if rows and not app.as_json:
            click.echo(f"They are to be {done}: say --yes.")
        return Exit.OK
    acted = refused = 0
    while True:
        acts = app.run(
            _sql.steering.act_on_runs(verb, app.filter, _PORTION, dry_run=False, reason=reason)
        )
        these = sum(a.what == done for a in acts)
        acted, refused = acted + these, len(acts) - these
        # What is refused comes again each time.
        if len(acts) < _PORTION or not these:
            break
    for said, runs in Counter(a.what for a in acts if a.what != done).items():
        click.echo(_output.lines_of(f"{runs}: {said}"), err=True)
    app.show({done: acted, "refused": refused}, f"{acted} runs are {done}.")
    return Exit.UNWELL if refused else Exit.OK
