"""OpenTelemetry: a span for each attempt, and the context of the caller in every handler.

from quantumflow_client.otel import instrument, trace_headers

instrument(client)                                              # in the worker
client.start_flow("order", order, headers=trace_headers())      # in whoever starts

It needs the extra `otel`. The spans of runs and steps are not made as they happen, since no process
is there for as long as a run: `quantumflow trace RUN` makes them of the rows.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

try:
    from opentelemetry import trace
    from opentelemetry.propagate import inject
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
        TraceState,
    )
except ImportError as error:
    raise ImportError(
        f"{error}\nHINT: quantumflow_client.otel needs an extra, in the clone: "
        "pip install './python-client[otel]'."
    ) from error

from ._spans import TRACEPARENT, TRACESTATE, Trace, attributes_of, run_span, trace_of
from ._version import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from opentelemetry.trace import Span, Tracer, TracerProvider

    from .client import Client
    from .context import Context

__all__ = ["instrument", "trace_headers"]


def instrument(client: Client, tracer_provider: TracerProvider | None = None) -> None:
    """Let each attempt at a task of this client's workers be a span, current in its handler.

    Its parent is the span that started the run, where the run's headers have its traceparent.
    Whether it is kept is the caller's decision then, else the sampler's, the same for all attempts
    of a run.

    Args:
        client: The client whose handlers it is about.
        tracer_provider: Where spans go; by default the one that is set for the process.
    """
    provider = tracer_provider or trace.get_tracer_provider()
    spans = _Spans(provider, provider.get_tracer("quantumflow", __version__))

    def traced(ctx: Context, call: Callable[[], Any]) -> Any:
        with spans.of(ctx):
            return call()

    async def atraced(ctx: Context, call: Callable[[], Awaitable[Any]]) -> Any:
        with spans.of(ctx):
            return await call()

    # Around an `async def` handler: without a thread for it.
    traced.awaited = atraced  # type: ignore[attr-defined]
    client.around(traced)


def trace_headers(carrier: Mapping[str, str] | None = None) -> dict[str, str]:
    """What to start a run with, so that its attempts belong to the caller's trace.

    Args:
        carrier: Where the context comes from: the headers of a web request, in whatever case. None:
            the span that is current.

    Returns:
        `traceparent`, and `tracestate` where there is one; nothing where there is no trace.
    """
    found: dict[str, str] = {}
    if carrier is None:
        inject(found)
    else:
        found = {name.lower(): value for name, value in carrier.items()}
    return {name: found[name] for name in (TRACEPARENT, TRACESTATE) if name in found}


class _Spans:
    def __init__(self, provider: TracerProvider, tracer: Tracer) -> None:
        self._provider = provider
        self._tracer = tracer

    @contextmanager
    def of(self, ctx: Context) -> Iterator[Span]:
        """A span for an attempt, current meanwhile."""
        described = trace_of(ctx.run_id, ctx.headers)
        with self._tracer.start_as_current_span(
            ctx.command,
            context=trace.set_span_in_context(NonRecordingSpan(self._parent(ctx, described))),
            kind=SpanKind.CONSUMER,
            attributes=attributes_of(
                {
                    "run_id": str(ctx.run_id),
                    "workflow": ctx.workflow_slug,
                    "step": ctx.step_slug,
                    "task_index": ctx.task_index,
                    "attempt": ctx.attempt,
                }
            ),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except Exception as error:
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
                raise

    def _parent(self, ctx: Context, found: Trace) -> SpanContext:
        is_sampled = found.is_sampled
        if is_sampled is None:
            is_sampled = self._asks_sampler(int(found.trace_id, 16), ctx.workflow_slug)
        return SpanContext(
            trace_id=int(found.trace_id, 16),
            span_id=int(found.parent_id or run_span(ctx.run_id), 16),
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT),
            trace_state=TraceState.from_header([found.state]) if found.state else None,
        )

    def _asks_sampler(self, trace_id: int, name: str) -> bool:
        """What the provider's sampler says of a trace that nobody has decided about."""
        sampler = getattr(self._provider, "sampler", None)
        if sampler is None:
            return True
        return bool(sampler.should_sample(None, trace_id, name).decision.is_sampled())
