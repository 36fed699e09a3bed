"""How far the database's clock is ahead, as claims tell it."""

from __future__ import annotations

from math import inf

from quantumflow_client._sql.tasks import Task, TaskRef
from quantumflow_client._worker.clock import Clock


def claimed(at: float, *, deadline: float = inf) -> Task:
    """A task that was claimed when the database's clock showed that, for ten seconds at most."""
    return Task(
        TaskRef("run", "step", 0, 7),
        workflow_slug="flow",
        command="a",
        args=None,
        input="{}",
        attempt=1,
        max_attempts=3,
        lease_expires_at=min(at + 10, deadline),
        deadline=deadline,
        headers=None,
        losses=0,
        step_type="single",
        version=1,
    )


def test_a_lease_tells_when_it_was_claimed() -> None:
    clock = Clock(10)
    assert clock.is_read([claimed(1000)], asked_at=5, answered_at=5)
    assert clock.here(1007) == 12


def test_a_claim_that_took_long_moves_the_clock_no_further_than_it_must() -> None:
    clock = Clock(10)
    clock.set(1000, now=5)
    # It was claimed between 2 and 8 s after that by our clock, which says nothing new.
    assert clock.is_read([claimed(1005)], asked_at=7, answered_at=13)
    assert clock.here(1000) == 5
    # At the least a second further ahead than was believed.
    assert clock.is_read([claimed(1020)], asked_at=20, answered_at=24)
    assert clock.here(1000) == 4


def test_a_lease_that_ends_at_its_deadline_tells_nothing() -> None:
    clock = Clock(10)
    assert not clock.is_read([claimed(1000, deadline=1003)], asked_at=5, answered_at=6)
    clock.set(1000, now=5)
    assert clock.is_read([claimed(1000, deadline=1003)], asked_at=5, answered_at=6)
    assert clock.here(1003) == 8
