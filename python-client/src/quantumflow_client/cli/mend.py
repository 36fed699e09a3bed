"""quantumflow repair, rebuild-queues, adopt: after an accident, a restore, a copy."""

from __future__ import annotations

import click

from quantumflow_client import _sql

from ._command import App, command
from ._errors import Exit


@command("repair", example="quantumflow repair\nquantumflow repair --apply")
@click.option("--apply", is_flag=True, help="Do it. Without this it is only said.")
def repair(app: App, apply: bool) -> int:
    """Mend what "check" finds, or say how.

    Workers may go on meanwhile. Ends with 1 when something is left to mend, with 0 otherwise.
    """
    repairs = app.run(_sql.installation.repair(dry_run=not apply))
    app.show_rows(
        repairs,
        {
            "rule": lambda repair: repair.rule,
            "run": lambda repair: repair.run_id,
            "step": lambda repair: repair.step_slug,
            "task": lambda repair: repair.task_index,
            "queue": lambda repair: repair.queue,
            "message": lambda repair: repair.message_id,
            "problem": lambda repair: repair.problem,
            "action" if apply else "would": lambda repair: repair.action,
        },
        none="Every rule holds.",
    )
    is_done = apply and all(repair.action.startswith("done") for repair in repairs)
    return Exit.OK if is_done or not repairs else Exit.UNWELL


@command("rebuild-queues", example="quantumflow rebuild-queues")
def rebuild_queues(app: App) -> None:
    """Make the queues anew, after a restore.

    Stop the workers first.
    """
    rebuilt = app.run(_sql.installation.rebuild_queues())
    app.show_rows(
        [{"queue": queue, "messages": messages} for queue, messages in rebuilt.items()],
        {"queue": lambda row: row["queue"], "messages": lambda row: row["messages"]},
        none="",
    )


@command("adopt", example="quantumflow adopt")
def adopt(app: App) -> None:
    """Let the runs of a copy go on in it.

    Workers refuse a database that was restored or copied, lest it does the work of its original
    once more. Make sure that nobody works on the original.
    """
    identity = app.run(_sql.installation.adopt())
    app.show({"identity": identity}, f"adopted: {identity}")
