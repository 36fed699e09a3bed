"""quantumflow schedule: workflows that are started at certain times."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from quantumflow_client import _sql

from . import _output, _sources, _view
from ._command import App, Seconds, command, moment


@click.group("schedule", invoke_without_command=True)
@click.pass_context
def schedule(ctx: click.Context) -> None:
    """Start workflows at certain times."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


_zone = click.option(
    "--zone",
    "time_zone",
    metavar="NAME",
    default="UTC",
    show_default=True,
    help="By which clocks: Europe/Berlin, for example.",
)


@command(
    "add",
    example="quantumflow schedule add nightly report '30 2 * * mon-fri' --zone Europe/Berlin",
)
@click.argument("name")
@click.argument("slug")
@click.argument("cron")
@click.argument("input_json", metavar="[INPUT]", default="{}")
@_zone
@click.option(
    "--overlap",
    metavar="WHAT",
    default="skip",
    show_default=True,
    help="When the last run goes on: skip, allow, queue or cancel.",
)
@click.option(
    "--catch-up",
    type=int,
    metavar="N",
    default=1,
    show_default=True,
    help="How many times of an outage are made up for, the latest ones.",
)
@click.option(
    "--jitter",
    type=Seconds(),
    metavar="SECONDS",
    default=0,
    help="How much later a run starts at most.",
)
@click.option(
    "--priority",
    type=int,
    metavar="SECONDS",
    default=0,
    help="How far its tasks overtake those of other runs.",
)
def add(
    app: App,
    name: str,
    slug: str,
    cron: str,
    input_json: str,
    time_zone: str,
    overlap: str,
    catch_up: int,
    jitter: float,
    priority: int,
) -> None:
    """Start the workflow SLUG at the times that CRON says, or change the schedule NAME.

    CRON is minute, hour, day of month, month and weekday, or @hourly, @daily and the like; `next`
    shows its times. INPUT is as for `quantumflow start`. Any worker starts what is due.
    """
    next_at = app.client.schedule(
        name,
        slug,
        cron,
        time_zone=time_zone,
        input=_sources.json_of(input_json),
        overlap=overlap,
        catch_up=catch_up,
        jitter=timedelta(seconds=jitter),
        priority=priority,
    )
    said = "It is paused." if next_at is None else f"It starts at {_output.when(next_at)}."
    app.show({"schedule_slug": name, "next_at": next_at}, said)


@command("list", example="quantumflow schedule list --workflow report")
@click.option("--workflow", metavar="SLUG", help="Only schedules of this workflow.")
def list_(app: App, workflow: str | None) -> None:
    """List the schedules, that which comes next first."""
    found = app.run(_sql.schedules.list_schedules(workflow))
    app.show_rows(found, _view.SCHEDULE_COLUMNS, none="There are no schedules.")


@command("pause", example="quantumflow schedule pause nightly --reason 'month-end'")
@click.argument("name")
@click.option("--reason", metavar="TEXT", help="Why; kept in audit_log.")
def pause(app: App, name: str, reason: str | None) -> None:
    """Let a schedule start nothing until it is resumed. What it has started goes on."""
    paused_at = app.run(_sql.schedules.pause_schedule(name, reason))
    app.show(
        {"schedule_slug": name, "paused_at": paused_at},
        f"It is paused since {_output.when(paused_at)}.",
    )


@command("resume", example="quantumflow schedule resume nightly")
@click.argument("name")
@click.option("--reason", metavar="TEXT", help="Why; kept in audit_log.")
def resume(app: App, name: str, reason: str | None) -> None:
    """Let a paused schedule go on with its next time."""
    next_at = app.run(_sql.schedules.resume_schedule(name, reason))
    app.show({"schedule_slug": name, "next_at": next_at}, f"It starts at {_output.when(next_at)}.")


@command("remove", example="quantumflow schedule remove nightly")
@click.argument("name")
def remove(app: App, name: str) -> None:
    """Remove a schedule. Runs that it has started go on."""
    app.run(_sql.schedules.unschedule_flow(name))
    app.show({"schedule_slug": name}, "It is removed.")


@command("next", example="quantumflow schedule next '0 9 1-7 * mon' --zone America/New_York")
@click.argument("cron")
@_zone
@click.option(
    "--count", type=int, metavar="N", default=5, show_default=True, help="How many times."
)
@click.option(
    "--after",
    metavar="TIME",
    callback=moment,
    help="After this time, not from now on (ISO 8601; without a zone, local).",
)
def next_(app: App, cron: str, time_zone: str, count: int, after: datetime | None) -> None:
    """Show the next times of CRON."""
    found = app.run(_sql.schedules.next_times(cron, time_zone, count, after))
    zone = _zone_of(time_zone)
    app.show_rows(
        found, {"at": lambda at: at.astimezone(zone).isoformat(" ")}, none="There is none."
    )


def _zone_of(name: str) -> tzinfo:
    """The zone to show times in: UTC, where Python does not know the one that the server does."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return timezone.utc


for _command in (add, list_, pause, resume, remove, next_):
    schedule.add_command(_command)
