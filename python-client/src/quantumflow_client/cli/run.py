"""quantumflow start, status, list, cancel and so on: runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import click

from quantumflow_client import _sql
from quantumflow_client._arguments import Age
from quantumflow_client.errors import RunCancelled, RunFailed, WaitTimeout

from . import _output, _sources, _view
from ._command import RUN, App, Seconds, command, moment
from ._errors import Exit
from ._filter import act, filtered, means_many


def _header(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if "=" not in value:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE.", ctx, param)
    return {name: value for name, _, value in (text.partition("=") for text in values)}


@command(
    "start",
    example="quantumflow start order '{\"amount\": 42}' --wait --timeout 60\n"
    "quantumflow start order @order.json --key order-17",
)
@click.argument("slug")
@click.argument("input_json", metavar="[INPUT]", default="{}")
@click.option(
    "--priority",
    type=int,
    metavar="SECONDS",
    default=0,
    help="How far its tasks overtake those of other runs.",
)
@click.option(
    "--start-at",
    metavar="TIME",
    callback=moment,
    help="Not before this time (ISO 8601; without a zone, local).",
)
@click.option("--key", metavar="TEXT", help="Idempotency key: the same key again is the same run.")
@click.option(
    "--header",
    "headers",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_header,
    help="Travels with every task of the run; may be repeated.",
)
@click.option("--version", type=int, metavar="N", help="A version; by default the current.")
@click.option("--run-id", type=click.UUID, metavar="UUID", help="The id that the run is to have.")
@click.option("--wait", is_flag=True, help="Wait until the run has ended; print its output.")
@click.option(
    "--timeout", type=Seconds(), metavar="SECONDS", help="Wait no longer than that: ends with 124."
)
def start(
    app: App,
    slug: str,
    input_json: str,
    priority: int,
    start_at: datetime | None,
    key: str | None,
    headers: dict[str, str],
    version: int | None,
    run_id: UUID | None,
    wait: bool,
    timeout: float | None,
) -> int:
    """Start a run of the workflow SLUG, and print the run's id.

    INPUT is what the run is started with: JSON, - for JSON from the standard input, @FILE for
    JSON in a file; an empty object when left out.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout says how long to --wait")
    started = app.client.start_flow(
        slug,
        _sources.json_of(input_json),
        priority=priority,
        start_at=start_at,
        idempotency_key=key,
        headers=headers or None,
        version=version,
        run_id=run_id,
    )
    if wait:
        return _wait(app, started, timeout)
    app.show({"run_id": started}, str(started))
    return Exit.OK


@command("status", example="quantumflow status 0198c0de-0000-7000-8000-000000000000")
@click.argument("run_id", metavar="RUN", type=RUN)
@click.option("--tree", is_flag=True, help="With the runs that its steps have started.")
def status(app: App, run_id: UUID, tree: bool) -> int:
    """Say how a run is doing, step by step.

    Ends with 1 when the run failed or was cancelled.
    """
    found = app.run(_sql.runs.status(run_id, tree=tree))
    app.show(found, "" if app.as_json else _view.status(found))
    return _view.exit_of(found)


@command(
    "list",
    example="quantumflow list --workflow order --status failed --since 2h\n"
    'quantumflow list --input \'{"customer": "c42"}\'',
)
@click.option("--workflow", metavar="SLUG", help="Only runs of this workflow.")
@click.option(
    "--status",
    metavar="STATUS",
    help="Only runs that are: started, paused, completed, failed or cancelled.",
)
@click.option(
    "--since", metavar="TIME", callback=moment, help="Only runs created from then on: 2h, 7d, ..."
)
@click.option("--until", metavar="TIME", callback=moment, help="Only runs created before then.")
@click.option(
    "--ended-since", metavar="TIME", callback=moment, help="Only runs that ended from then on."
)
@click.option(
    "--ended-until", metavar="TIME", callback=moment, help="Only runs that ended before then."
)
@click.option("--error", metavar="TEXT", help="Only runs whose error contains this.")
@click.option("--input", "input_text", metavar="JSON", help="Only runs whose input contains this.")
@click.option(
    "--headers", "headers_text", metavar="JSON", help="Only runs whose headers contain this."
)
@click.option("--key", metavar="KEY", help="Only runs of this idempotency key.")
@click.option("--version", type=int, metavar="N", help="Only runs of this version.")
@click.option(
    "--limit", type=int, metavar="N", default=20, show_default=True, help="How many at most."
)
@click.option("--before", type=RUN, metavar="RUN", help="Only older ones: the next page.")
@click.option("--gave-up", is_flag=True, help="Only those that went on without what had failed.")
@click.option(
    "--children-of", type=RUN, metavar="RUN", help="Only those that a step of RUN started."
)
@click.option("--children", is_flag=True, help="Also those that a step of another run has started.")
def list_(
    app: App,
    workflow: str | None,
    status: str | None,
    since: datetime | None,
    until: datetime | None,
    ended_since: datetime | None,
    ended_until: datetime | None,
    error: str | None,
    input_text: str | None,
    headers_text: str | None,
    key: str | None,
    version: int | None,
    limit: int,
    before: UUID | None,
    gave_up: bool,
    children_of: UUID | None,
    children: bool,
) -> None:
    """List the latest runs, the newest first.

    Those that people and programs started. A search by --error, --input, --headers or
    --ended-since looks at the last 7 days, unless --since says otherwise.
    """
    runs = app.run(
        _sql.runs.list_runs(
            workflow,
            status=status,
            max_runs=limit,
            before=before,
            gave_up=gave_up or None,
            since=since,
            until=until,
            ended_since=ended_since,
            ended_until=ended_until,
            error=error,
            input=None if input_text is None else _sources.json_of(input_text),
            headers=None if headers_text is None else _sources.json_of(headers_text),
            idempotency_key=key,
            version=version,
            parent=children_of,
            with_children=children,
        )
    )
    app.show_rows(runs, _view.RUN_COLUMNS, none="There are no such runs.")
    if len(runs) == limit and not app.as_json:
        click.echo(f"There may be more: --before {runs[-1].run_id}, or --limit.", err=True)


@command(
    "cancel",
    example="quantumflow cancel 0198c0de-0000-7000-8000-000000000000 --reason 'wrong input'",
)
@click.argument("run_id", metavar="[RUN]", type=RUN, required=False)
@filtered
@click.option("--reason", metavar="TEXT", help="Why; kept with the run.")
def cancel(app: App, run_id: UUID | None, reason: str | None, yes: bool) -> int:
    """Stop a run for good. Nothing of it starts any more.

    A task that runs is told to stop; what it still reports changes nothing. Without RUN all runs
    that the options mean: first it says how many, with --yes it does it.
    """
    if means_many(app, run_id):
        return act(app, "cancel", "cancelled", yes=yes, reason=reason)
    assert run_id is not None
    app.client.cancel(run_id, reason)
    app.show({"run_id": run_id, "status": "cancelled", "reason": reason}, f"{run_id} is cancelled.")
    return Exit.OK


@command(
    "retry",
    example="quantumflow retry 0198c0de-0000-7000-8000-000000000000 --from charge --preview\n"
    "quantumflow retry 0198c0de-0000-7000-8000-000000000000",
)
@click.argument("run_id", metavar="[RUN]", type=RUN, required=False)
@filtered
@click.option("--from", "from_step", metavar="STEP", help="From this step on, finished or not.")
@click.option(
    "--iteration", metavar="N", type=int, help="Of the loop STEP only those from N on, from 0."
)
@click.option("--given-up", is_flag=True, help="Also what the run went on without.")
@click.option("--preview", is_flag=True, help="Only say what would run again.")
@click.option("--reason", metavar="TEXT", help="Why; kept in audit_log.")
def retry(
    app: App,
    run_id: UUID | None,
    from_step: str | None,
    iteration: int | None,
    given_up: bool,
    preview: bool,
    reason: str | None,
    yes: bool,
) -> int:
    """Run again what an ended run did not finish.

    What it finished keeps its outputs, but for --from STEP and all that depends on it. --given-up
    runs again what had failed without ending the run, and all that depends on that. Without RUN all
    failed and cancelled runs that the options mean: first it says how many, with --yes it does it.
    """
    if means_many(app, run_id):
        if from_step or iteration is not None or given_up or preview:
            raise click.UsageError("many runs are run again from where they stopped")
        return act(app, "retry", "retried", yes=yes, reason=reason)
    assert run_id is not None
    if preview:
        steps = app.client.retry_preview(
            run_id, from_step, from_iteration=iteration, given_up=given_up
        )
        app.show_rows(steps, _view.RETRY_COLUMNS, none="")
    else:
        status = app.client.retry(
            run_id, from_step, from_iteration=iteration, given_up=given_up, reason=reason
        )
        app.show_status(run_id, status)
    return Exit.OK


@command(
    "signal",
    example='quantumflow signal 0198c0de-0000-7000-8000-000000000000 approved \'{"by": "ann"}\'\n'
    "quantumflow signal order-17 paid --workflow order --key evt_1",
)
@click.argument("run", metavar="RUN|KEY")
@click.argument("signal", metavar="SIGNAL")
@click.argument("payload_json", metavar="[PAYLOAD]", default="null")
@click.option("--workflow", metavar="SLUG", help="The workflow of the run that has the key KEY.")
@click.option("--key", metavar="TEXT", help="What identifies it: sent again, it is the same one.")
def signal(
    app: App, run: str, signal: str, payload_json: str, workflow: str | None, key: str | None
) -> int:
    """Send a run a signal.

    A step takes it that waits for it, or will. RUN is the run's id; with --workflow it is the
    idempotency key that it was started with. PAYLOAD is what the step puts out: JSON, - for JSON
    from the standard input, @FILE for JSON in a file. Ends with 1 when nobody will take it: the run
    has ended, or there is none.
    """
    payload = _sources.json_of(payload_json)
    if workflow is None:
        outcome = app.client.signal(_run_id(run), signal, payload, key=key)
    else:
        outcome = app.client.signal_by_key(workflow, run, signal, payload, key=key)
    said = {
        "delivered": "is delivered: a step was waiting for it",
        "kept": "is kept until a step waits for it",
        "duplicate": "was sent before, with this key",
        "run_ended": "comes too late: the run has ended",
        "no_run": "is not kept: there is no such run yet",
    }
    app.show(
        {"run": run, "signal": signal, "outcome": outcome},
        f"{signal} {said.get(outcome, outcome)}.",
    )
    return Exit.UNWELL if outcome in ("run_ended", "no_run") else Exit.OK


@command(
    "failed-items",
    example="quantumflow failed-items 0198c0de-0000-7000-8000-000000000000 send_mails",
)
@click.argument("run_id", metavar="RUN", type=RUN)
@click.argument("step", metavar="STEP")
def failed_items(app: App, run_id: UUID, step: str) -> None:
    """List the items of a map that have failed."""
    found = app.client.failed_items(run_id, step)
    app.show_rows(found, _view.ITEM_COLUMNS, none="No item has failed.")


@command("delete", example="quantumflow delete 0198c0de-0000-7000-8000-000000000000")
@click.argument("run_id", metavar="[RUN]", type=RUN, required=False)
@filtered
@click.option("--reason", metavar="TEXT", help="Why; kept in audit_log.")
def delete(app: App, run_id: UUID | None, reason: str | None, yes: bool) -> int:
    """Delete an ended run, with its tasks and their history.

    Without RUN all ended runs that the options mean: first it says how many, with --yes it does it.
    """
    if means_many(app, run_id):
        return act(app, "delete", "deleted", yes=yes, reason=reason)
    assert run_id is not None
    app.client.delete(run_id, reason)
    app.show({"run_id": run_id, "deleted": True}, f"{run_id} is deleted.")
    return Exit.OK


@command(
    "prune",
    example="quantumflow prune '30 days' --preview\nquantumflow prune '30 days' --workflow order",
)
@click.argument("older_than", metavar="AGE", type=Age)
@click.option(
    "--batch",
    type=int,
    metavar="N",
    default=1000,
    show_default=True,
    help="How many in one transaction.",
)
@click.option("--workflow", metavar="SLUG", help="Only runs of this workflow.")
@click.option("--preview", is_flag=True, help="Only say what would be deleted.")
@click.option("--reason", metavar="TEXT", help="Why; kept in audit_log.")
def prune(
    app: App,
    older_than: Age,
    batch: int,
    workflow: str | None,
    preview: bool,
    reason: str | None,
) -> None:
    """Delete the runs that ended longer ago than AGE.

    AGE is an interval as PostgreSQL reads it: '30 days', '12 hours'.
    """
    if preview:
        found = app.run(_sql.steering.prune_preview(older_than, workflow))
        app.show_rows(found, _view.PRUNE_COLUMNS, none="There are no such runs.")
        return
    deleted = last = app.run(_sql.steering.prune(older_than, batch, workflow, reason))
    while last == batch:
        last = app.run(_sql.steering.prune(older_than, batch, workflow, reason))
        deleted += last
    app.show({"deleted": deleted}, f"{deleted} runs are deleted.")


@command(
    "failures",
    example="quantumflow failures --limit 5\n"
    "quantumflow failures 0198c0de-0000-7000-8000-000000000000 --traceback",
)
@click.argument("run_id", metavar="[RUN]", type=RUN, required=False)
@click.option(
    "--limit", type=int, metavar="N", default=20, show_default=True, help="How many at most."
)
@click.option("--traceback", is_flag=True, help="Print what the workers sent with each.")
def failures(app: App, run_id: UUID | None, limit: int, traceback: bool) -> None:
    """List the attempts that failed last, of a run or of all.

    A worker's error, a timeout, or a lease that was lost; who had the task, and why it failed.
    """
    found = app.client.failures(run_id, max_failures=limit)
    if traceback and found and not app.as_json:
        click.echo("\n\n".join("\n".join(_view.failure(failed)) for failed in found))
    else:
        app.show_rows(found, _view.FAILURE_COLUMNS, none="No attempt has failed.")


def _run_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise click.UsageError(
            f"{text!r} is no run's id; --workflow SLUG takes it as an idempotency key"
        ) from None


def _wait(app: App, run_id: UUID, timeout: float | None) -> int:
    if not app.as_json:
        click.echo(str(run_id))
    document: dict[str, Any] = {
        "run_id": run_id,
        "status": "completed",
        "output": None,
        "error_message": None,
    }
    try:
        document["output"] = app.client.wait(run_id, timeout)
    except (RunFailed, RunCancelled, WaitTimeout) as error:
        if isinstance(error, RunFailed):
            document |= {"status": "failed", "error_message": error.error_message}
        elif isinstance(error, RunCancelled):
            document |= {"status": "cancelled", "error_message": error.reason}
        else:
            document["status"] = error.status
        if app.as_json:
            click.echo(_output.as_json(document))
        raise
    app.show(document, _output.as_json(document["output"], indent=2))
    return Exit.OK
