"""Reports that the database refuses: how the offenders are found, and what becomes of them."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest

from quantumflow_client._sql.tasks import Completion, Failure, TaskRef
from quantumflow_client._worker.asides import (
    BATCH_ROWS,
    DELAY_MOST,
    GIVE_UP,
    MISSES,
    PROBES,
    ROWS_MOST,
    Asides,
)
from quantumflow_client._worker.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from quantumflow_client._worker.reports import Report

REFUSAL = Refusal("42501", "InsufficientPrivilege", "permission denied")
VALUE = Refusal("22P05", "UntranslatableCharacter", "no such character")


def ref(n: int) -> TaskRef:
    return TaskRef("run", "step", n, 1000 + n)


def done(n: int) -> Completion:
    return Completion(ref(n), "1")


class Server:
    """Refuses every call that holds a bad report; keeps account."""

    def __init__(
        self, bad: Collection[int] | Callable[[Report], bool], *, refusal: Refusal = REFUSAL
    ) -> None:
        self.is_bad = bad if callable(bad) else lambda report: report.ref.task_index in bad
        self.refusal = refusal
        self.now = 0.0
        self.calls: list[list[int]] = []
        self.kept: list[Report] = []
        self.put_aside: list[int] = []
        self.replaced: list[int] = []
        self.given_up: list[int] = []
        self.deadlines: dict[TaskRef, float] = {}
        chance = random.Random(0)
        self.asides = Asides(
            random=chance.random, deadline=lambda task: self.deadlines.get(task, math.inf)
        )

    def refuse(self, reports: Sequence[Report]) -> None:
        """A batch that is not from the asides is refused."""
        self.tell(self.asides.add(reports, self.refusal, self.now))

    def round(self) -> int:
        """Try all that is due; how many calls that took."""
        before = len(self.calls)
        while self.asides.is_due(self.now):
            reports = self.asides.next(self.now)
            assert self.asides.next(self.now) is reports
            assert len({type(report) for report in reports}) == 1
            self.calls.append([report.ref.task_index for report in reports])
            if any(self.is_bad(report) for report in reports):
                self.tell(self.asides.refused(self.refusal, self.now))
            else:
                self.kept += reports
                self.asides.delivered()
        return len(self.calls) - before

    def go_on(self, until: float) -> None:
        """Let time pass, and try what is due."""
        while self.asides.due <= until:
            self.now = max(self.now, self.asides.due)
            self.round()
        self.now = until

    def tell(self, fate: object) -> None:
        for what in ("put_aside", "replaced", "given_up"):
            getattr(self, what).extend(r.ref.task_index for r in getattr(fate, what))


def completions(count: int) -> list[Completion]:
    return [done(n) for n in range(count)]


def indexes(reports: Sequence[Report]) -> list[int]:
    return sorted(report.ref.task_index for report in reports)


@pytest.mark.parametrize(
    "bad", [{0}, {499}, {250}, {17, 18}, {3, 200, 480}, set(range(0, 500, 30))]
)
def test_the_others_of_a_batch_are_delivered_after_few_calls(bad: set[int]) -> None:
    server = Server(bad)
    server.refuse(completions(500))
    calls = server.round()
    assert indexes(server.kept) == sorted(set(range(500)) - bad)
    assert sorted(server.put_aside) == sorted(bad)
    assert calls <= len(bad) * 2 * math.ceil(math.log2(500)) + PROBES


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40, 500])
def test_where_nothing_gets_through_the_calls_stay_few(size: int) -> None:
    server = Server(set(range(size)))
    server.refuse(completions(size))
    assert server.round() <= MISSES + PROBES
    assert sorted(server.put_aside) == list(range(size))
    # Then some are tried, which come again together.
    before = len(server.calls)
    server.go_on(0.1)
    assert len(server.calls) - before <= 2 * (MISSES + PROBES)


def test_when_it_gets_through_again_so_does_everything() -> None:
    server = Server(set(range(500)))
    server.refuse(completions(500))
    server.go_on(1.0)
    server.is_bad = lambda _: False
    before = len(server.calls)
    server.go_on(DELAY_MOST)
    assert indexes(server.kept) == list(range(500))
    assert len(server.calls) - before < 30
    assert len(server.asides) == 0
    assert server.asides.due == math.inf


def test_beside_a_step_whose_reports_are_all_refused_the_others_are_delivered() -> None:
    server = Server(lambda report: report.ref.step_slug == "bad")
    slugs = ["bad"] * 9 + ["good"]
    tasks = [TaskRef(f"run {n}", slugs[n % 10], n, n) for n in range(500)]
    server.refuse([Completion(task, "1") for task in tasks])
    calls = server.round()
    assert indexes(server.kept) == list(range(9, 500, 10))
    assert calls < 60


def test_among_very_many_offenders_nobody_is_blamed_who_was_not_tried() -> None:
    bad = {n for n in range(500) if n % 10}
    server = Server(bad)
    server.refuse(completions(500))
    server.go_on(GIVE_UP + 2 * DELAY_MOST)
    assert indexes(server.kept) == sorted(set(range(500)) - bad)
    assert sorted(server.replaced) == sorted(server.given_up) == sorted(bad)


def test_where_nothing_gets_through_for_a_minute_the_calls_stay_few() -> None:
    server = Server(set(range(500)))
    server.refuse(completions(500))
    server.go_on(GIVE_UP + 2 * DELAY_MOST)
    assert sorted(server.given_up) == list(range(500))
    assert len(server.calls) < 600


def test_one_that_is_refused_comes_again_ever_more_rarely() -> None:
    server = Server({0})
    server.refuse([done(0)])
    times = []
    while not server.replaced:
        times.append(server.asides.due - server.now)
        server.go_on(server.asides.due)
    assert times[0] <= 0.1
    assert DELAY_MOST / 2 <= times[-1] <= DELAY_MOST
    assert len(times) < 20
    assert server.put_aside == [0]


def test_those_that_are_due_come_together() -> None:
    server = Server({1, 2, 3})
    server.refuse(completions(4))
    server.round()
    server.is_bad = lambda _: False
    server.calls.clear()
    server.go_on(1.0)
    assert [sorted(call) for call in server.calls] == [[1, 2, 3]]


def is_output(report: Report) -> bool:
    return isinstance(report, Completion)


def test_what_is_refused_for_a_minute_is_replaced_by_a_failure_that_says_why() -> None:
    server = Server(is_output)
    server.refuse([done(0)])
    server.go_on(GIVE_UP - 1)
    assert server.replaced == []
    server.go_on(GIVE_UP + DELAY_MOST)
    (report,) = server.kept
    assert isinstance(report, Failure)
    assert report.retryable
    assert "42501: permission denied" in report.message
    assert server.given_up == []
    assert len(server.asides) == 0


def test_if_that_is_refused_too_the_task_is_given_up() -> None:
    server = Server({0})
    server.refuse([done(0)])
    server.go_on(GIVE_UP + DELAY_MOST)
    assert (server.replaced, server.given_up, server.kept) == ([0], [0], [])
    assert len(server.asides) == 0


def test_what_would_come_again_after_its_deadline_is_replaced_before() -> None:
    server = Server(is_output)
    server.deadlines[ref(0)] = 3.0
    server.refuse(completions(2))
    server.go_on(3.0)
    (report,) = server.kept
    assert report.ref == ref(0)
    assert server.replaced == [0]
    assert len(server.asides) == 1


def test_a_report_that_postgresql_cannot_hold_is_not_sent_again() -> None:
    def is_bad(report: Report) -> bool:
        return isinstance(report, Completion) and report.ref.task_index in {5, 6}

    server = Server(is_bad, refusal=VALUE)
    server.refuse(completions(50))
    server.round()
    assert sorted(server.replaced) == [5, 6]
    assert server.put_aside == []
    failures = [report for report in server.kept if isinstance(report, Failure)]
    assert indexes(failures) == [5, 6]
    assert all(failure.retryable for failure in failures), "it costs an attempt"
    assert len(server.kept) == 50


def test_however_many_such_values_there_are() -> None:
    server = Server(is_output, refusal=VALUE)
    server.refuse(completions(100))
    server.round()
    assert indexes(server.kept) == list(range(100))


def test_a_failure_in_place_of_a_value_has_its_own_minute() -> None:
    server = Server({0}, refusal=VALUE)
    server.refuse([done(0)])
    server.refusal = REFUSAL
    server.go_on(GIVE_UP - 1)
    assert server.given_up == []
    server.is_bad = lambda _: False
    server.go_on(GIVE_UP + DELAY_MOST)
    (report,) = server.kept
    assert isinstance(report, Failure)
    assert report.retryable


def test_outputs_and_failures_are_tried_apart() -> None:
    server = Server({0, 1})
    server.refuse([done(0)])
    server.refuse([Failure(ref(1), "no")])
    server.is_bad = lambda _: False
    server.go_on(1.0)
    assert indexes(server.kept) == [0, 1]


def test_with_very_much_put_aside_it_is_full() -> None:
    server = Server(lambda _: True)
    for start in range(0, ROWS_MOST, BATCH_ROWS):
        assert not server.asides.is_full
        server.refuse([done(n) for n in range(start, start + BATCH_ROWS)])
        server.round()
    assert server.asides.is_full
    server.is_bad = lambda _: False
    server.go_on(DELAY_MOST)
    assert not server.asides.is_full


def test_chance_finds_every_offender() -> None:
    chance = random.Random(1)
    for _ in range(100):
        size = chance.randrange(1, 200)
        bad = {n for n in range(size) if chance.random() < chance.choice([0.01, 0.1, 0.5, 1])}
        server = Server(bad)
        server.refuse(completions(size))
        server.go_on(GIVE_UP + 2 * DELAY_MOST)
        assert indexes(server.kept) == sorted(set(range(size)) - bad)
        assert sorted(server.given_up) == sorted(bad)
