"""Every call beside every other on one run, stopped at every row, and nothing gets stuck or lost.

A run has two claimed tasks, left and right, whose leases have run out, and a step join that waits
for both. A third session holds one row. The first call starts and ends or waits; the second starts
and ends or waits; the third session lets go; both must end. Then:

- there was no deadlock (40P01 would be raised, after deadlock_timeout = 100 ms);
- what never waits (claim, sweep, extend) did not wait;
- two calls that wait left what one after the other would have left, in one of the two orders;
- an attempt that was reported was handed to nobody else, and the other way round;
- after a sweep check_state() is empty, and the run goes on to its end when workers go on.

Fails when, in the extension:

- _hold_messages waits for tasks, or _hold_for_failure for the run (no SKIP LOCKED);
- _read_messages does not lock what it reads;
- _hold_runs takes FOR KEY SHARE where a step ends (the join is lost);
- _hold_runs does not look at the run's status after it has waited for it;
- _stop_runs waits for tasks, or _remove_free_messages for messages;
- _stop_runs does not record in _unfinished_ends what it skipped;
- extend_leases waits for tasks;
- fail_tasks gives a task back at once when no retry_after is given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from races.stopping import ROWS, Call, holding
from support.engine import Engine, Task, allow_test_clock, remove_runs

pytestmark = pytest.mark.system

NEVER_WAIT = frozenset({"claim", "extend", "extend right", "sweep"})

# The clock: the leases last from 0 to 10; the calls race at 20; messages put aside are back at 21.
CLAIMED, RACE, LATER = 0, 20, 21


@dataclass(frozen=True)
class Case:
    """A run whose two claimed tasks have lapsed leases."""

    run_id: UUID
    left: Task
    right: Task


def _slugs(tasks: list[Task]) -> tuple[str, ...]:
    return tuple(sorted(task.step_slug for task in tasks))


CALLS: dict[str, Callable[[Engine, Case], Any]] = {
    "claim": lambda engine, _: _slugs(engine.claim(5)),
    "complete": lambda engine, case: engine.complete(case.left, "left"),
    "fail": lambda engine, case: engine.fail(case.left, retryable=False),
    "retry": lambda engine, case: engine.fail(case.left),
    "extend": lambda engine, case: engine.extend([case.left])[0],
    "release": lambda engine, case: engine.release([case.left]),
    "cancel": lambda engine, case: engine.cancel(case.run_id),
    "sweep": lambda engine, _: engine.sweep()["lapsed leases"],
    "start_ready_steps": lambda engine, case: engine.start_ready_steps(case.run_id),
}
RIGHT_CALLS: dict[str, Callable[[Engine, Case], Any]] = {
    "complete right": lambda engine, case: engine.complete(case.right, "right"),
    "fail right": lambda engine, case: engine.fail(case.right, retryable=False),
    "retry right": lambda engine, case: engine.fail(case.right),
    "extend right": lambda engine, case: engine.extend([case.right])[0],
    "release right": lambda engine, case: engine.release([case.right]),
}
ALL_CALLS = CALLS | RIGHT_CALLS

# What a call may answer, whatever runs beside it.
ANSWERS: dict[str, set[Any]] = {
    "claim": {(), ("left",), ("right",), ("_on_failure",)},
    "complete": {"completed", "duplicate", "stale", "run_ended"},
    "fail": {"failed", "duplicate", "stale", "run_ended"},
    "retry": {"retrying", "duplicate", "stale", "run_ended"},
    "extend": {"held", "lost", "cancelled"},
    "release": {0, 1},
    "cancel": {"cancelled", "too late"},
    "sweep": {0, 1, 2},
    "start_ready_steps": {0},
}
ACTED = {"completed", "failed", "retrying"}

# With max_lost = 3 a lapsed lease makes the task ready again, with 1 it ends the run.
CASES = [
    (first, second, row, max_lost)
    for first in CALLS
    for second in ALL_CALLS
    for row in ROWS
    for max_lost in ((3, 1) if {"claim", "sweep"} & {first, second} else (3,))
]


class Arena:
    """The sessions that all cases use one after the other."""

    def __init__(self, new_engine: Callable[[], Engine]) -> None:
        self.setup, self.third, self.watcher = new_engine(), new_engine(), new_engine()
        self.racers = new_engine(), new_engine()
        allow_test_clock(self.setup.connection)
        for engine in self.racers:
            engine.set_clock(RACE)
        for max_lost in (1, 3):
            self.setup.define(
                f"pair_{max_lost}",
                [
                    {"name": "left"},
                    {"name": "right"},
                    {"name": "join", "dependencies": ["left", "right"]},
                ],
                max_lost=max_lost,
                timeout=3600,
                on_complete="note",
                on_failure="note",
            )
        self.in_order = functools.lru_cache(maxsize=None)(self._in_order)

    def new_case(self, max_lost: int) -> Case:
        remove_runs(self.setup.connection)
        self.setup.set_clock(CLAIMED)
        run_id = self.setup.start(f"pair_{max_lost}")
        tasks = {task.step_slug: task for task in self.setup.claim(2, lease=10)}
        return Case(run_id, tasks["left"], tasks["right"])

    def state_after_sweep(self, case: Case) -> tuple[Any, ...]:
        self.setup.set_clock(LATER)
        self.setup.sweep()
        return (
            self.setup.run_status(case.run_id),
            sorted(self.setup.step_statuses(case.run_id).items()),
            self.setup.rows(
                "select step_slug, status, attempts, losses from quantumflow.step_tasks "
                "where run_id = %s order by step_slug",
                case.run_id,
            ),
        )

    def _in_order(self, first: str, second: str, max_lost: int) -> tuple[Any, ...]:
        """The two answers and the state when one call comes after the other."""
        case = self.new_case(max_lost)
        answers = ALL_CALLS[first](self.racers[0], case), ALL_CALLS[second](self.racers[0], case)
        return *answers, self.state_after_sweep(case)

    def in_either_order(self, first: str, second: str, max_lost: int) -> list[tuple[Any, ...]]:
        if NEVER_WAIT & {first, second}:
            return []
        other, one, state = self.in_order(second, first, max_lost)
        return [self.in_order(first, second, max_lost), (one, other, state)]

    def work_to_the_end(self, case: Case) -> str:
        """Let a worker go on as long as there is work; answers the run's status then."""
        hours = 1
        while self.setup.messages() > 0 and hours < 10:
            self.setup.set_clock(hours * 3600)
            self.setup.drain(5)
            hours += 1
        return self.setup.run_status(case.run_id)


@pytest.fixture(scope="module")
def arena(new_engine: Callable[[], Engine]) -> Arena:
    return Arena(new_engine)


@pytest.mark.parametrize(
    ("first", "second", "row", "max_lost"),
    CASES,
    ids=[f"{f} - {s} - {row} held - max_lost {m}" for f, s, row, m in CASES],
)
def test_two_calls_stopped_at_a_row(
    arena: Arena, first: str, second: str, row: str, max_lost: int
) -> None:
    allowed = arena.in_either_order(first, second, max_lost)
    case = arena.new_case(max_lost)

    with holding(arena.third, row, case.run_id):
        calls = []
        for name, engine in zip((first, second), arena.racers, strict=True):
            call = Call(engine, functools.partial(_call, name, case))
            calls.append(call)
            waits = call.settle(arena.watcher)
            assert not (waits and name in NEVER_WAIT), f"{name} waits"
    one, other = (call.result() for call in calls)

    assert one in ANSWERS[first]
    assert other in ANSWERS[second.removesuffix(" right")]
    state = arena.state_after_sweep(case)
    assert arena.setup.problems() == []
    if not NEVER_WAIT & {first, second}:
        assert (one, other, state) in allowed
    answers = {first: one, second: other}
    handed_out = answers.get("claim", ())
    for name, answer in answers.items():
        if answer in ACTED:
            assert ("right" if name.endswith("right") else "left") not in handed_out

    assert arena.work_to_the_end(case) in ("completed", "failed", "cancelled")
    assert arena.setup.problems() == []
    assert arena.setup.messages() == 0


def _call(name: str, case: Case, engine: Engine) -> Any:
    return ALL_CALLS[name](engine, case)
