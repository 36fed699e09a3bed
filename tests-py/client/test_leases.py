"""Which leases to extend and which are over, without a clock or a database."""

from __future__ import annotations

from quantumflow_client._sql.tasks import LeaseState, TaskKey, TaskRef
from quantumflow_client._worker.leases import Leases

A, B = (TaskRef("run", "step", index, 7) for index in (0, 1))


def answers(**states: str) -> dict[TaskKey, LeaseState]:
    return {{"a": A, "b": B}[name][:3]: LeaseState(state, None) for name, state in states.items()}


def holding(*tasks: TaskRef, lease: float = 30) -> Leases:
    leases = Leases(lease)
    for task in tasks:
        leases.add(task, asked_at=0)
    return leases


def test_a_lease_is_due_after_a_third() -> None:
    leases = holding(A)
    assert leases.next_due() == 10
    assert leases.due(9.9) == []
    assert leases.due(10) == [A]


def test_what_is_nearly_due_is_extended_along() -> None:
    leases = holding(A)
    leases.add(B, asked_at=4)
    assert leases.due(10) == [A, B]


def test_what_was_claimed_just_now_is_not_extended_along() -> None:
    leases = holding(A)
    leases.add(B, asked_at=9)
    assert leases.due(10) == [A]


def test_an_extension_counts_from_when_it_was_asked_for() -> None:
    leases = holding(A)
    assert leases.extended([A], answers(a="held"), asked_at=10) == {}
    assert leases.next_due() == 20
    assert not leases.is_over(A, 39.9)
    assert leases.is_over(A, 40)


def test_a_lost_and_a_cancelled_task_are_told_apart_and_forgotten() -> None:
    leases = holding(A, B)
    told = leases.extended([A, B], answers(a="lost", b="cancelled"), asked_at=10)
    assert told == {A: "lost", B: "cancelled"}
    assert leases.due(100) == []
    assert leases.is_over(A, 10)


def test_a_task_without_an_answer_is_lost() -> None:
    assert holding(A).extended([A], {}, asked_at=10) == {A: "lost"}


def test_a_task_reported_meanwhile_is_not_lost() -> None:
    leases = holding(A)
    leases.drop([A])
    assert leases.extended([A], answers(a="lost"), asked_at=10) == {}


def test_a_lease_that_could_not_be_extended_is_over_here_too_and_told_once() -> None:
    leases = holding(A)
    assert leases.lapse(29.9) == {}
    assert leases.lapse(30) == {A: "its lease was not renewed"}
    assert leases.lapse(31) == {}


def test_no_lease_goes_beyond_the_deadline() -> None:
    leases = Leases(30)
    leases.add(A, asked_at=0, deadline=35)
    leases.extended([A], answers(a="held"), asked_at=10)
    assert not leases.is_over(A, 34.9)
    assert leases.lapse(35) == {A: "its deadline passed"}


def test_a_worker_that_holds_nothing_has_nothing_to_extend() -> None:
    leases = holding()
    assert leases.next_due() is None
    assert leases.due(100) == []
    assert leases.is_over(A, 0)
