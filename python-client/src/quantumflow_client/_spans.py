"""Which ids the spans of a run have: the same whoever makes them, a worker or `quantumflow trace`.

A trace is the caller's, where the run's headers have a `traceparent` (W3C Trace Context); else it
is made of the run's id, whose own bits are no good: those of a version 7 uuid tell the time, and a
sampler that goes by them would take all runs or none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

T = TypeVar("T")

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

_PREFIX = "quantumflow"

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
"""Under which names headers have them."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace that a run belongs to.

    Attributes:
        trace_id: Its id, of 32 hexadecimal digits.
        parent_id: The span that started the run, of 16 digits; None: nobody says.
        is_sampled: Whether the caller keeps it; None: nobody says.
        state: What the caller's vendor adds.
    """

    trace_id: str
    parent_id: str | None = None
    is_sampled: bool | None = None
    state: str | None = None


def trace_of(run_id: UUID, headers: Mapping[str, Any] | None) -> Trace:
    """The trace that a run belongs to."""
    said = (headers or {}).get(TRACEPARENT)
    found = _TRACEPARENT.fullmatch(said.strip()) if isinstance(said, str) else None
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return Trace(_digits(32, "trace", run_id))
    if found[2] == "0" * 32 or found[3] == "0" * 16:
        return Trace(_digits(32, "trace", run_id))
    state = (headers or {}).get(TRACESTATE)
    is_sampled = bool(int(found[4], 16) & 1)
    return Trace(found[2], found[3], is_sampled, state if isinstance(state, str) else None)


def run_span(run_id: UUID) -> str:
    """The id of a run's span."""
    return _digits(16, "run", run_id)


def step_span(run_id: UUID, step_slug: str) -> str:
    """The id of a step's span."""
    return _digits(16, "step", run_id, step_slug)


def attempt_span(run_id: UUID, step_slug: str, *numbers: int) -> str:
    """The id of an attempt's span; numbers: its task, the run's retries, which attempt."""
    return _digits(16, "attempt", run_id, step_slug, *numbers)


def _digits(count: int, *parts: object) -> str:
    return sha256("\0".join(map(str, parts)).encode()).hexdigest()[:count]


def attributes_of(values: Mapping[str, T]) -> dict[str, T]:
    """What is said of a span, by names with our prefix."""
    return {f"{_PREFIX}.{name}": value for name, value in values.items()}
