"""Signals, and who waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quantumflow_client import _arguments, _json
from quantumflow_client._call import Call

from .statements import decoded, scalar, statement

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from quantumflow_client._json import Json


_SEND_SIGNAL = statement(
    "send_signal",
    """
    select quantumflow.send_signal(
      run_id => %(run_id)s,
      signal => %(signal)s,
      payload => %(payload)s::pg_catalog.jsonb,
      key => %(key)s)
    """,
)


def send_signal(
    run_id: UUID,
    signal: str,
    payload: Json,
    *,
    key: str | None,
    encode: _json.Encoder,
) -> Call[str]:
    """Send a run a signal; what became of it."""
    return Call(
        _SEND_SIGNAL,
        scalar,
        {
            "run_id": _arguments.run(run_id),
            "signal": signal,
            "payload": encode(payload, "the payload"),
            "key": key,
        },
        is_repeatable=key is not None,
    )


_SEND_SIGNAL_BY_KEY = statement(
    "send_signal_by_key",
    """
    select quantumflow.send_signal_by_key(
      workflow_slug => %(workflow_slug)s,
      idempotency_key => %(idempotency_key)s,
      signal => %(signal)s,
      payload => %(payload)s::pg_catalog.jsonb,
      key => %(key)s)
    """,
)


def send_signal_by_key(
    workflow_slug: str,
    idempotency_key: str,
    signal: str,
    payload: Json,
    *,
    key: str | None,
    encode: _json.Encoder,
) -> Call[str]:
    """Send a signal to the run that was started with a key; what became of it."""
    return Call(
        _SEND_SIGNAL_BY_KEY,
        scalar,
        {
            "workflow_slug": workflow_slug,
            "idempotency_key": idempotency_key,
            "signal": signal,
            "payload": encode(payload, "the payload"),
            "key": key,
        },
        is_repeatable=key is not None,
    )


@dataclass(frozen=True, slots=True)
class WaitSummary:
    """A step that waits for a signal.

    Attributes:
        run_id: The run.
        workflow_slug: The workflow.
        step_slug: The step.
        signals: The signals of which it takes the first that comes.
        since: Since when it waits.
        until: When its time is over; None: there is no end to it.
        idempotency_key: What the run was started with.
        headers: As well.
        input: What the step is given, as a handler would be; None unless it was asked for.
    """

    run_id: UUID
    workflow_slug: str
    step_slug: str
    signals: list[str]
    since: datetime
    until: datetime | None
    idempotency_key: str | None
    headers: dict[str, Json] | None
    input: Json


_LIST_WAITS = statement(
    "list_waits",
    """
    select run_id, workflow_slug, step_slug, signals, since, until, idempotency_key,
      headers::pg_catalog.text, input::pg_catalog.text
    from quantumflow.list_waits(
      workflow_slug => %(workflow_slug)s,
      signal => %(signal)s,
      max_runs => %(max_runs)s::int,
      with_input => %(with_input)s)
    """,
)


def list_waits(
    workflow_slug: str | None,
    signal: str | None,
    *,
    max_runs: int,
    with_input: bool,
) -> Call[list[WaitSummary]]:
    """The steps that wait for a signal, those that have waited longest first."""
    return Call(
        _LIST_WAITS,
        lambda rows: [
            WaitSummary(*[*row[:7], decoded([row[7:8]]), decoded([row[8:9]])]) for row in rows
        ],
        {
            "workflow_slug": workflow_slug,
            "signal": signal,
            "max_runs": max_runs,
            "with_input": with_input,
        },
        is_repeatable=True,
    )
