"""quantumflow goal: goals that are decomposed into tasks, and how they fare."""

from __future__ import annotations

from uuid import UUID

import click

from quantumflow_client import _sql

from . import _sources, _view
from ._command import App, Seconds, command

_OF_A_RULE = ("graph", "pattern", "condition", "task", "number")


@click.group("goal", invoke_without_command=True)
@click.pass_context
def goal(ctx: click.Context) -> None:
    """Have goals decomposed into tasks, and these done."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command(
    "run",
    example="quantumflow goal run 'ship order 17' --by orders --wait\n"
    "quantumflow goal run 'ship order 17' --by orders --dry-run",
)
@click.argument("text", metavar="GOAL")
@click.option("--by", "decomposer", metavar="DECOMPOSER", required=True, help="What decomposes it.")
@click.option(
    "--context", "context_json", metavar="JSON", default="{}", help="What else is to be known."
)
@click.option(
    "--options", "options_json", metavar="JSON", default="{}", help="How it is to be done."
)
@click.option("--key", metavar="TEXT", help="The same key again is the same goal.")
@click.option("--wait", is_flag=True, help="Until it has ended; then print its status.")
@click.option("--timeout", type=Seconds(), metavar="SECONDS", help="How long to wait at most.")
@click.option("--dry-run", is_flag=True, help="Only say what rules make of it, at once.")
def run(
    app: App,
    text: str,
    decomposer: str,
    context_json: str,
    options_json: str,
    key: str | None,
    wait: bool,
    timeout: float | None,
    dry_run: bool,
) -> int:
    """Have GOAL decomposed by DECOMPOSER, and its tasks done.

    JSON is as for `quantumflow start`. With --wait it ends with 1 when the goal failed or was
    cancelled.
    """
    context, options = _sources.json_of(context_json), _sources.json_of(options_json)
    if dry_run:
        graph = app.run(_sql.goals.decompose(text, decomposer, context))
        app.show(graph, "" if app.as_json else _view.tasks(graph, {}))
        return 0
    goal_id = app.client.start_goal(text, decomposer, context, options, idempotency_key=key)
    if not wait:
        app.show({"goal_id": goal_id}, str(goal_id))
        return 0
    app.client.wait_goal(goal_id, timeout)
    return _show(app, goal_id)


@command("show", example="quantumflow goal show 0198c0de-0000-7000-8000-000000000000")
@click.argument("goal_id", metavar="GOAL", type=click.UUID)
def show(app: App, goal_id: UUID) -> int:
    """Show how a goal fares: what it was decomposed into, and what became of each task.

    Ends with 1 when the goal failed or was cancelled.
    """
    return _show(app, goal_id)


def _show(app: App, goal_id: UUID) -> int:
    found = app.run(_sql.goals.goal_status(goal_id))
    app.show(found, "" if app.as_json else _view.goal(found))
    return _view.exit_of(found)


@command("list", example="quantumflow goal list --status failed")
@click.option(
    "--status",
    metavar="STATUS",
    help="Only goals that are: decomposing, decomposed, running, paused, completed, failed or "
    "cancelled.",
)
@click.option(
    "--limit", type=int, metavar="N", default=20, show_default=True, help="How many at most."
)
def list_(app: App, status: str | None, limit: int) -> None:
    """List the latest goals, the newest first."""
    found = app.run(_sql.goals.list_goals(status, limit))
    app.show_rows(found, _view.GOAL_COLUMNS, none="There are no such goals.")


@command("cancel", example="quantumflow goal cancel 0198c0de-0000-7000-8000-000000000000")
@click.argument("goal_id", metavar="GOAL", type=click.UUID)
@click.option("--reason", metavar="TEXT", help="Why; kept with its run.")
def cancel(app: App, goal_id: UUID, reason: str | None) -> None:
    """Stop a goal for good, in whatever phase it is."""
    app.run(_sql.goals.cancel_goal(goal_id, reason))
    app.show(
        {"goal_id": goal_id, "status": "cancelled", "reason": reason}, f"{goal_id} is cancelled."
    )


@command("rules", example="quantumflow goal rules orders --add rules.json")
@click.argument("decomposer", metavar="DECOMPOSER")
@click.option(
    "--add",
    "source",
    metavar="JSON",
    help='Add rules: an array of {"graph", "pattern", "condition", "task", "number"}; @FILE, or -.',
)
def rules(app: App, decomposer: str, source: str | None) -> None:
    """Show the rules of a decomposer, in the order in which they are tried.

    With --add it is registered, if it is not there, and has these rules besides; one of a number
    that there is takes its place.
    """
    if source is not None:
        _add(app, decomposer, _sources.json_of(source))
    found = app.run(_sql.goals.list_methods(decomposer))
    app.show_rows(found, _view.METHOD_COLUMNS, none="It has no rules.")


def _add(app: App, decomposer: str, given: object) -> None:
    if not isinstance(given, list) or not all(isinstance(rule, dict) for rule in given):
        raise click.UsageError("rules are an array of objects")
    if unknown := sorted({key for rule in given for key in rule} - set(_OF_A_RULE)):
        raise click.UsageError(f"a rule has no {unknown[0]}: it has {', '.join(_OF_A_RULE)}")
    if decomposer not in {method.decomposer for method in app.run(_sql.goals.list_methods(None))}:
        app.run(_sql.goals.register_decomposer(decomposer, "rules"))
    for rule in given:
        others = {key: value for key, value in rule.items() if key != "graph"}
        app.run(_sql.goals.add_method(decomposer, rule.get("graph"), **others))


for _command in (run, show, list_, cancel, rules):
    goal.add_command(_command)
