"""Attempts as spans, the caller's context in handlers, and a run as spans of its rows."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased

from quantumflow_client import Client, Context, Flow
from quantumflow_client._spans import run_span, trace_of
from quantumflow_client.otel import instrument, trace_headers
from support.command import Command

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOW = Flow("traced", max_attempts=2, retry_delay=0)


@FLOW.step
def first(ctx: Context) -> str:
    if ctx.attempt == 1:
        raise ValueError("not yet")
    return current()


@FLOW.step(depends_on=[first])
async def second() -> str:
    return current()


def current() -> str:
    """The span that is current, in words of W3C Trace Context."""
    return trace_headers()["traceparent"]


class Traced:
    """A client whose attempts are kept in memory, as a sampler decides."""

    def __init__(self, dsn: str, sampler: Any = None) -> None:
        self.kept = InMemorySpanExporter()
        self.provider = TracerProvider(**({} if sampler is None else {"sampler": sampler}))
        self.provider.add_span_processor(SimpleSpanProcessor(self.kept))
        self.client = Client(dsn)
        instrument(self.client, self.provider)

    def run(self, runs: int = 1, **options: Any) -> list[Any]:
        self.client.deploy(FLOW)
        found = self.client.start_flows("traced", [{}] * runs, **options)
        self.client.poll_and_run(until_idle=True)
        return found


@pytest.fixture
def traced(dsn: str) -> Iterator[Traced]:
    made = Traced(dsn)
    yield made
    made.client.close()


def test_each_attempt_is_a_span_of_the_callers_trace(traced: Traced) -> None:
    with traced.provider.get_tracer("web").start_as_current_span("request") as request:
        headers = trace_headers()
    (run_id,) = traced.run(headers=[headers])
    spans = {
        s.attributes["quantumflow.attempt"]: s
        for s in traced.kept.get_finished_spans()
        if s.name == "traced.first" and s.attributes
    }
    asked = request.get_span_context()
    assert {s.context.trace_id for s in spans.values()} == {asked.trace_id}
    assert {s.parent.span_id for s in spans.values() if s.parent} == {asked.span_id}
    assert spans[1].status.description == "ValueError: not yet"
    assert spans[1].events[0].name == "exception"
    assert spans[2].status.is_ok
    output = traced.client.status(run_id)["output"]
    assert isinstance(output, dict)
    last = traced.kept.get_finished_spans()[-1]
    # The handler, an async one, had its own span as the current one.
    assert output["second"] == f"00-{asked.trace_id:032x}-{last.context.span_id:016x}-01"


def test_without_a_caller_all_attempts_of_a_run_are_of_one_trace(traced: Traced) -> None:
    (run_id,) = traced.run()
    spans = traced.kept.get_finished_spans()
    assert len(spans) == 3
    assert {f"{s.context.trace_id:032x}" for s in spans} == {trace_of(run_id, None).trace_id}
    assert {f"{s.parent.span_id:016x}" for s in spans if s.parent} == {run_span(run_id)}


def test_a_caller_who_keeps_nothing_is_obeyed(traced: Traced) -> None:
    traced.run(headers=[{"traceparent": f"00-{'a' * 32}-{'b' * 16}-00"}])
    assert traced.kept.get_finished_spans() == ()


@pytest.mark.parametrize("make", [ParentBased, lambda sampler: sampler])
def test_a_ratio_is_kept_run_by_run(dsn: str, make: Any) -> None:
    traced = Traced(dsn, make(TraceIdRatioBased(0.3)))
    runs = traced.run(60)
    spans = traced.kept.get_finished_spans()
    found = {s.attributes["quantumflow.run_id"] for s in spans if s.attributes}
    assert 0 < len(found) < len(runs) * 0.7
    assert len(spans) == 3 * len(found)
    traced.client.close()


def test_ids_of_runs_that_tell_the_time_are_sampled_like_any_others() -> None:
    """The sampler looks at the lower half, whose upper bits are the same in all uuids."""
    for ratio in (0.1, 0.5, 0.9):
        sampler = TraceIdRatioBased(ratio)
        ids = [int(trace_of(uuid.UUID(int=n, version=4), None).trace_id, 16) for n in range(2000)]
        kept = sum(sampler.should_sample(None, n, "").decision is not Decision.DROP for n in ids)
        assert abs(kept / len(ids) - ratio) < 0.05


@pytest.mark.parametrize(
    "said",
    [
        None, 7, "", "00-x", f"00-{'0' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'0' * 16}-01",
        f"ff-{'a' * 32}-{'b' * 16}-01", f"00-{'A' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'b' * 16}-01-more",
    ],
)  # fmt: skip
def test_a_traceparent_that_is_none_is_passed_over(said: Any) -> None:
    assert trace_of(uuid.UUID(int=1), {"traceparent": said}).parent_id is None


def test_headers_of_a_request_are_taken_over() -> None:
    said = f"00-{'a' * 32}-{'b' * 16}-01"
    assert trace_headers({"Traceparent": said, "Cookie": "secret"}) == {"traceparent": said}
    assert trace_headers({}) == {}
    assert trace.get_current_span().get_span_context().is_valid is False
    assert trace_headers() == {}


def test_a_run_is_printed_as_spans(traced: Traced, dsn: str) -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    (run_id,) = traced.run(headers=[{"traceparent": parent, "tracestate": "v=1"}])
    text = Command(dsn)("trace", run_id).stdout
    (resource,) = json.loads(text)["resourceSpans"]
    spans = resource["scopeSpans"][0]["spans"]
    assert [s["name"] for s in spans[:3]] == ["traced", "first", "second"]
    assert {s["traceId"] for s in spans} == {"a" * 32}
    assert spans[0]["parentSpanId"] == "b" * 16
    assert spans[0]["traceState"] == "v=1"
    assert len({s["spanId"] for s in spans}) == len(spans) == 6
    known = {"b" * 16, *(s["spanId"] for s in spans)}
    assert all(s["parentSpanId"] in known for s in spans)
    assert all(int(s["startTimeUnixNano"]) <= int(s["endTimeUnixNano"]) for s in spans)
    (wrong,) = [s for s in spans if s["status"].get("code") == 2]
    assert wrong["status"]["message"] == "ValueError: not yet"
    assert Command(dsn)("trace", run_id).stdout == text
    few = json.loads(Command(dsn)("trace", run_id, "--no-attempts").stdout)
    assert len(few["resourceSpans"][0]["scopeSpans"][0]["spans"]) == 3
