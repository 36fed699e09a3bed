"""quantumflow optimize, policy: other settings for a workflow that its past speaks for."""

from __future__ import annotations

import click

from quantumflow_client import _sql

from . import _view
from ._command import App, command

_level = click.option(
    "--level",
    metavar="LEVEL",
    help="What may change: basic, advanced or aggressive; by default as is configured.",
)


@command("optimize", example="quantumflow optimize report --level advanced --apply trial")
@click.argument("slug")
@_level
@click.option(
    "--apply",
    metavar="WHAT",
    help="Make a policy: propose it, try it in a trial, or adopt it without one.",
)
def optimize(app: App, slug: str, level: str | None, apply: str | None) -> None:
    """Show better settings for the workflow SLUG, or try them.

    What is shown follows from its past runs; --apply makes a policy of it.
    """
    if apply is None:
        found = app.run(_sql.learning.recommendations(slug, level))
        app.show_rows(
            found, _view.RECOMMENDATION_COLUMNS, none="Its past speaks for no other settings."
        )
        return
    policy = app.client.optimize(slug, level, apply=apply)
    app.show_rows(
        [] if policy is None else [policy],
        _view.POLICY_COLUMNS,
        none="Its past speaks for no other settings.",
    )


@click.group("policy", invoke_without_command=True)
@click.pass_context
def policy(ctx: click.Context) -> None:
    """Settings that were tried, and what came of them."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command("list", example="quantumflow policy list report")
@click.argument("slug")
def list_(app: App, slug: str) -> None:
    """List what was proposed for the workflow SLUG, tried and adopted, oldest first."""
    found = app.run(_sql.learning.policy_history(slug))
    app.show_rows(found, _view.POLICY_COLUMNS, none="It has no policies.")


@command("rollback", example="quantumflow policy rollback report --reason 'load has changed'")
@click.argument("slug")
@click.option("--reason", metavar="TEXT", help="Why; kept in audit_log.")
def rollback(app: App, slug: str, reason: str | None) -> None:
    """End the policy of the workflow SLUG that is tried or adopted."""
    number = app.run(_sql.learning.rollback_policy(slug, reason))
    app.show({"workflow_slug": slug, "policy": number}, f"Policy {number} is rolled back.")


policy.add_command(list_)
policy.add_command(rollback)
