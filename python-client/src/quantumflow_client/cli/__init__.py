"""The command `quantumflow`: looks at workflows and runs, starts them, and works on them.

It has no rule and no SQL of its own: each command calls functions of the database and prints what
they say. Two places are exceptions: `_statements` installs, which no function of something not yet
installed can do, and `_draw` and `_bars` draw.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import click

from quantumflow_client import __version__

from . import (
    demo,
    dev,
    examine,
    flow,
    goal,
    install,
    learn,
    limit,
    look,
    mend,
    metrics,
    page,
    run,
    schedule,
    steer,
    trace,
    watch,
    web,
    worker,
)
from ._command import App, Group, common, honour_no_color
from ._errors import EXIT_CODES

__all__ = ["main"]

_EPILOG = """\b
Which database: --dsn, else QUANTUMFLOW_DSN, else libpq's PGHOST, PGDATABASE
and the like, else the embedded PostgreSQL in ./.quantumflow, if there is one.

\b
Exit codes:
""" + "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in EXIT_CODES.items())


@click.group("quantumflow", cls=Group, epilog=_EPILOG, invoke_without_command=True)
@common
@click.version_option(__version__, "--version", message="%(version)s", help="Print the version.")
@click.pass_context
def main(ctx: click.Context) -> Any:
    """Durable DAG workflows inside PostgreSQL."""
    ctx.call_on_close(ctx.ensure_object(App).close)
    honour_no_color(ctx)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for _command in (
    dev.dev,
    install.install,
    flow.flow,
    run.start,
    run.status,
    run.list_,
    run.cancel,
    steer.pause,
    steer.resume,
    steer.pauses,
    steer.run_now,
    run.retry,
    run.signal,
    run.failed_items,
    run.delete,
    run.prune,
    run.failures,
    schedule.schedule,
    goal.goal,
    limit.limit,
    learn.optimize,
    learn.policy,
    look.why,
    look.waits,
    look.timeline,
    look.critical_path,
    look.eta,
    look.history,
    look.stats,
    look.tasks,
    look.queues,
    look.workers,
    look.diff,
    look.size,
    page.page,
    metrics.metrics,
    trace.trace,
    watch.watch,
    web.web,
    worker.worker,
    examine.doctor,
    examine.check,
    mend.repair,
    mend.rebuild_queues,
    mend.adopt,
    examine.sweep,
    examine.setup,
    examine.version,
):
    main.add_command(_command)

if importlib.util.find_spec("quantumflow_client.demo"):
    main.add_command(demo.demo)
