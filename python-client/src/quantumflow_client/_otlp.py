"""A run as spans, in the JSON of OpenTelemetry's protocol (OTLP), made of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._runs import moment_of
from ._spans import attempt_span, attributes_of, run_span, step_span, trace_of
from ._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from ._sql.looking import Attempt

_INTERNAL, _CONSUMER = 1, 5
_OK, _ERROR = 1, 2


def spans_of(
    run_id: UUID, run: Mapping[str, Any], attempts: Sequence[Attempt], now: datetime
) -> dict[str, Any]:
    """The spans of a run: it, its steps, and their attempts, those that began.

    Args:
        run_id: The run.
        run: What status() says of it.
        attempts: Its attempts.
        now: Until when goes what goes on.
    """
    trace = trace_of(run_id, run["headers"])
    spans = _Spans(run_id, trace.trace_id, now)
    began = moment_of(run["created_at"])
    assert began is not None
    made = [
        spans.span(
            run["workflow_slug"],
            run_span(run_id),
            trace.parent_id,
            (began, moment_of(run["ended_at"])),
            {
                "version": run["version"],
                "status": run["status"],
                "retries": run["retries"],
            },
            error=run["error_message"] if run["status"] == "failed" else None,
            state=trace.state,
        )
    ]
    made += (spans.step(step) for step in run["steps"] if step["started_at"])
    slugs = {step["step_slug"] for step in run["steps"]}
    made += (spans.attempt(a, slugs) for a in attempts if a.began_at is not None)
    resource = {"service.name": "quantumflow"}
    resource |= attributes_of({"workflow": run["workflow_slug"]})
    scope = {"name": "quantumflow", "version": __version__}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource.items())},
                "scopeSpans": [{"scope": scope, "spans": made}],
            }
        ]
    }


class _Spans:
    def __init__(self, run_id: UUID, trace_id: str, now: datetime) -> None:
        self._run_id = run_id
        self._trace_id = trace_id
        self._now = now

    def step(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """A step's span, below its run's."""
        began = moment_of(step["started_at"])
        assert began is not None
        return self.span(
            step["step_slug"],
            step_span(self._run_id, step["step_slug"]),
            run_span(self._run_id),
            (began, moment_of(step["ended_at"])),
            {
                "step": step["step_slug"],
                "step_type": step["step_type"],
                "status": step["status"],
                "tasks": step["tasks"].get("total", 0),
            },
            error=step["error_message"] if step["status"] == "failed" else None,
        )

    def attempt(self, attempt: Attempt, slugs: set[str]) -> dict[str, Any]:
        """An attempt's span, below its step's, a callback's below the run's; its wait is said."""
        assert attempt.began_at is not None
        numbers = (attempt.task_index, attempt.retries, attempt.attempt)
        waited = None
        if attempt.due_at is not None:
            waited = max((attempt.began_at - attempt.due_at).total_seconds(), 0.0)
        return self.span(
            f"{attempt.step_slug} {attempt.task_index}",
            attempt_span(self._run_id, attempt.step_slug, *numbers),
            step_span(self._run_id, attempt.step_slug)
            if attempt.step_slug in slugs
            else run_span(self._run_id),
            (attempt.began_at, attempt.ended_at),
            {
                "step": attempt.step_slug,
                "task_index": attempt.task_index,
                "retries": attempt.retries,
                "attempt": attempt.attempt,
                "outcome": attempt.kind or attempt.outcome,
                "worker": attempt.worker,
                "waited_seconds": waited,
            },
            kind=_CONSUMER,
            error=(attempt.error_message or attempt.kind) if attempt.outcome == "failed" else None,
        )

    def span(
        self,
        name: str,
        span_id: str,
        parent_id: str | None,
        times: tuple[datetime, datetime | None],
        attributes: Mapping[str, object],
        *,
        kind: int = _INTERNAL,
        error: str | None = None,
        state: str | None = None,
    ) -> dict[str, Any]:
        """A span; what goes on ends now."""
        began, ended = times
        span: dict[str, Any] = {
            "traceId": self._trace_id,
            "spanId": span_id,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": _nanoseconds(began),
            "endTimeUnixNano": _nanoseconds(ended or max(self._now, began)),
            "attributes": _attributes(
                attributes_of({"run_id": str(self._run_id), **attributes}).items()
            ),
            "status": {} if ended is None else {"code": _OK},
        }
        if parent_id is not None:
            span["parentSpanId"] = parent_id
        if state is not None:
            span["traceState"] = state
        if error is not None:
            span["status"] = {"code": _ERROR, "message": error}
        return span


def _nanoseconds(moment: datetime) -> str:
    seconds = int(moment.timestamp() // 1)
    return str(seconds * 10**9 + moment.microsecond * 1000)


def _attributes(pairs: Iterable[tuple[str, object]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in pairs if value is not None]


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}
