"""quantumflow trace: a run as spans of OpenTelemetry."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from uuid import UUID

import click

from quantumflow_client import _otlp, _sql

from ._command import RUN, App, command

_RUN = "0198c0de-0000-7000-8000-000000000000"


@command(
    "trace",
    example=f"quantumflow trace {_RUN} > run.json\n"
    f"quantumflow trace {_RUN} | curl -d @- -H 'Content-Type: application/json' "
    "http://localhost:4318/v1/traces",
)
@click.argument("run_id", metavar="RUN", type=RUN)
@click.option(
    "--no-attempts", is_flag=True, help="The run and its steps alone: workers send the attempts."
)
def trace(app: App, run_id: UUID, no_attempts: bool) -> None:
    """Print a run as spans of OpenTelemetry.

    The JSON of its protocol, as collectors take it: the run, its steps and their attempts, with
    the times that the database has of them. They belong to the trace whose traceparent the run
    was started with, or else to one of its own. Printed again, they have the same ids.
    """
    found = app.run(_sql.runs.status(run_id))
    attempts = [] if no_attempts else app.run(_sql.looking.list_attempts(run_id, None))
    spans = _otlp.spans_of(run_id, found, attempts, datetime.now(timezone.utc))
    click.echo(json.dumps(spans, ensure_ascii=False))
