"""quantumflow limit: how many tasks may run at once, or begin in a second."""

from __future__ import annotations

import click

from quantumflow_client import _sql

from . import _view
from ._command import App, command


@click.group("limit", invoke_without_command=True)
@click.pass_context
def limit(ctx: click.Context) -> None:
    """Limit how many tasks run at once, or begin in a second."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command("set", example="quantumflow limit set openai --at-once 2")
@click.argument("name")
@click.option("--at-once", type=int, metavar="N", help="So many tasks of a key at once; 0: none.")
@click.option("--per-second", type=float, metavar="N", help="So many of a key begin in a second.")
def set_(app: App, name: str, at_once: int | None, per_second: float | None) -> None:
    """Set a limit, which steps name in "limit". Each key has it for itself."""
    app.run(_sql.limits.set_limit(name, at_once, per_second))
    app.show({"limit_name": name, "at_once": at_once, "per_second": per_second}, "It is set.")


@command("list", example="quantumflow limit list")
def list_(app: App) -> None:
    """List the limits, with what runs and waits of each key."""
    found = app.run(_sql.limits.list_limits())
    app.show_rows(found, _view.LIMIT_COLUMNS, none="There are no limits.")


@command("remove", example="quantumflow limit remove openai")
@click.argument("name")
def remove(app: App, name: str) -> None:
    """Remove a limit: what it held back is let go."""
    removed = app.run(_sql.limits.remove_limit(name))
    app.show(
        {"limit_name": name, "removed": removed},
        "It is removed." if removed else "There is no such limit.",
    )


for _command in (set_, list_, remove):
    limit.add_command(_command)
