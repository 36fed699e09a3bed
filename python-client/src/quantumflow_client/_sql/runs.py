"""Runs: started and looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantumflow_client import _arguments, _json
from quantumflow_client._call import Call
from quantumflow_client._runs import RunId, RunStatus

from .statements import decoded, scalar, statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from uuid import UUID

    from quantumflow_client._json import Json


_START_FLOW = statement(
    "start_flow",
    """
    select quantumflow.start_flow(
      workflow_slug => %(workflow_slug)s,
      input => %(input)s::pg_catalog.jsonb,
      run_id => %(run_id)s,
      priority => %(priority)s::int,
      start_at => %(start_at)s,
      idempotency_key => %(idempotency_key)s,
      headers => %(headers)s::pg_catalog.jsonb,
      version => %(version)s::int)
    """,
)


def start_flow(
    workflow_slug: str,
    input: Json,  # noqa: A002
    *,
    run_id: UUID | None,
    priority: int,
    start_at: datetime | None,
    idempotency_key: str | None,
    headers: Mapping[str, Json] | None,
    version: int | None,
    output: object = None,
    encode: _json.Encoder = _json.encode,
) -> Call[RunId[Any]]:
    """Start a run, whose output is of a type."""
    return Call(
        _START_FLOW,
        lambda rows: RunId.of(rows[0][0], output),
        {
            "workflow_slug": workflow_slug,
            "input": encode(input, "the input"),
            "run_id": _arguments.run(run_id),
            "priority": priority,
            "start_at": _arguments.moment("start_at", start_at),
            "idempotency_key": _arguments.text("idempotency_key", idempotency_key),
            "headers": None if headers is None else encode(headers, "headers"),
            "version": _arguments.number("version", version),
        },
    )


_START_FLOWS = statement(
    "start_flows",
    """
    select run_id
    from quantumflow.start_flows(
      workflow_slug => %(workflow_slug)s,
      inputs => %(inputs)s::pg_catalog.jsonb[],
      priority => %(priority)s::int,
      idempotency_keys => %(idempotency_keys)s::pg_catalog.text[],
      start_at => %(start_at)s::pg_catalog.timestamptz[],
      headers => %(headers)s::pg_catalog.jsonb[]) as run_id
    """,
)


def start_flows(
    workflow_slug: str,
    inputs: Iterable[Json],
    *,
    priority: int,
    idempotency_keys: Iterable[str | None] | None = None,
    start_at: Iterable[datetime | None] | None = None,
    headers: Iterable[Mapping[str, Json] | None] | None = None,
    output: object = None,
    encode: _json.Encoder = _json.encode,
) -> Call[list[RunId[Any]]]:
    """Start a run for each input, all in one transaction."""
    listed = enumerate(_arguments.inputs("inputs", inputs))
    keys = _arguments.each("idempotency_keys", idempotency_keys, _arguments.text)
    times = _arguments.each("start_at", start_at, _arguments.moment)
    heads = _arguments.each(
        "headers", headers, lambda name, head: None if head is None else encode(head, name)
    )
    return Call(
        _START_FLOWS,
        lambda rows: [RunId.of(row[0], output) for row in rows],
        {
            "workflow_slug": workflow_slug,
            "inputs": [encode(value, f"input {i}") for i, value in listed],
            "priority": priority,
            "idempotency_keys": keys,
            "start_at": times,
            "headers": heads,
        },
    )


_STATUS = statement(
    "status",
    """
    select quantumflow.status(
      run_id => %(run_id)s, summary => %(summary)s, tree => %(tree)s)::pg_catalog.text
    """,
)


def status(
    run_id: UUID, *, summary: bool = False, tree: bool = False, exact: bool = False
) -> Call[RunStatus]:
    """How a run is doing; numbers with a fraction are Decimals if they are to be exact."""
    return Call(
        _STATUS,
        lambda rows: _json.decode(rows[0][0], "the run", exact=exact),
        {"run_id": _arguments.run(run_id), "summary": summary, "tree": tree},
        is_repeatable=True,
    )


_LIST_RUNS = statement(
    "list_runs",
    """
    select run_id, workflow_slug, version, status, done_steps, steps, priority, retries,
      idempotency_key, created_at, started_at, ended_at, error_message, gave_up, parent, started_by,
      origin
    from quantumflow.list_runs(
      workflow_slug => %(workflow_slug)s,
      status => %(status)s,
      max_runs => %(max_runs)s::int,
      before => %(before)s,
      gave_up => %(gave_up)s,
      since => %(since)s::pg_catalog.timestamptz,
      until => %(until)s::pg_catalog.timestamptz,
      ended_since => %(ended_since)s::pg_catalog.timestamptz,
      ended_until => %(ended_until)s::pg_catalog.timestamptz,
      input => %(input)s::pg_catalog.jsonb,
      headers => %(headers)s::pg_catalog.jsonb,
      idempotency_key => %(idempotency_key)s,
      error => %(error)s,
      version => %(version)s::int,
      parent => %(parent)s,
      with_children => %(with_children)s)
    """,
)
_FIND_RUN = statement("find_run", "select quantumflow.find_run(run_id_prefix => %(run_id_prefix)s)")


def find_run(run_id_prefix: str) -> Call[UUID]:
    """The run whose id begins so."""
    return Call(_FIND_RUN, scalar, {"run_id_prefix": run_id_prefix}, is_repeatable=True)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in a line.

    Attributes:
        run_id: The run.
        workflow_slug: The workflow.
        version: Its version.
        status: started, paused, completed, failed or cancelled.
        done_steps: Steps that are done.
        steps: Steps there are.
        priority: Seconds by which it overtakes.
        retries: How often it was retried.
        idempotency_key: The key it was started with.
        created_at: When it was started.
        started_at: From when its first steps may run.
        ended_at: When it ended; None while it goes on.
        error_message: Why it failed or was cancelled.
        gave_up: How many steps and tasks it went on without; None where its version cannot.
        parent: The run of which a step started it; None: none did.
        started_by: Who started it: a role of the database.
        origin: What started it, if that was quantumflow itself: "schedule:nightly".
    """

    run_id: UUID
    workflow_slug: str
    version: int
    status: str
    done_steps: int
    steps: int
    priority: int
    retries: int
    idempotency_key: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error_message: str | None
    gave_up: int | None
    parent: UUID | None
    started_by: str | None
    origin: str | None


def list_runs(
    workflow_slug: str | None = None,
    *,
    status: str | None = None,
    max_runs: int = 20,
    before: UUID | None = None,
    gave_up: bool | None = None,
    parent: UUID | None = None,
    with_children: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
    ended_since: datetime | None = None,
    ended_until: datetime | None = None,
    input: Json = None,  # noqa: A002
    headers: Mapping[str, Json] | None = None,
    idempotency_key: str | None = None,
    error: str | None = None,
    version: int | None = None,
    encode: _json.Encoder = _json.encode,
) -> Call[list[RunSummary]]:
    """The latest runs, newest first; an input of None is any."""
    return Call(
        _LIST_RUNS,
        lambda rows: [RunSummary(*row) for row in rows],
        {
            "workflow_slug": workflow_slug,
            "status": status,
            "max_runs": max_runs,
            "before": before,
            "gave_up": gave_up,
            "parent": parent,
            "with_children": with_children,
            "since": _arguments.moment("since", since),
            "until": _arguments.moment("until", until),
            "ended_since": _arguments.moment("ended_since", ended_since),
            "ended_until": _arguments.moment("ended_until", ended_until),
            "input": None if input is None else encode(input, "the input"),
            "headers": None if headers is None else encode(headers, "headers"),
            "idempotency_key": _arguments.text("idempotency_key", idempotency_key),
            "error": error,
            "version": _arguments.number("version", version),
        },
        is_repeatable=True,
    )


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that did not complete.

    Attributes:
        run_id: The run.
        workflow_slug: The workflow.
        step_slug: The step.
        task_index: The task.
        retries: The run's retries at that time.
        attempt: Which attempt it was, from 1; 0 of a step that its condition has failed.
        kind: error, timeout, lost or condition.
        worker_id: Who had it.
        worker: The name of that worker, or None.
        started_at: When its handler began; when it was claimed, if nobody says.
        ended_at: When its failure was reported or noticed.
        error_message: What was reported.
        error_details: What the worker added: `type` and `traceback`.
        due_at: From when it could be claimed; None for what failed under 0.3.0.
    """

    run_id: UUID
    workflow_slug: str
    step_slug: str
    task_index: int
    retries: int
    attempt: int
    kind: str
    worker_id: UUID | None
    worker: str | None
    started_at: datetime | None
    ended_at: datetime
    error_message: str | None
    error_details: Json
    due_at: datetime | None


_LIST_FAILURES = statement(
    "list_failures",
    """
    select run_id, workflow_slug, step_slug, task_index, retries, attempt, kind, worker_id, worker,
      started_at, ended_at, error_message, error_details::pg_catalog.text, due_at
    from quantumflow.list_failures(run_id => %(run_id)s, max_failures => %(max_failures)s::int)
    """,
)


def list_failures(run_id: UUID | None, *, max_failures: int) -> Call[list[FailedAttempt]]:
    """The attempts that failed last, the latest first."""
    return Call(
        _LIST_FAILURES,
        lambda rows: [
            FailedAttempt(*[*row[:12], decoded([row[12:13]]), *row[13:]]) for row in rows
        ],
        {"run_id": _arguments.run(run_id), "max_failures": max_failures},
        is_repeatable=True,
    )
