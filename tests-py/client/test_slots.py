"""Slots: order, room and threads, with handlers that wait for the test."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quantumflow_client._worker.event_loop import BLOCKED_AFTER
from quantumflow_client._worker.slots import Slots
from support.waiting import wait_until


class Waits:
    """Stands in for an Execution: begins, waits, ends.

    Attributes:
        log: What has begun, shared by all.
        may_end: Whether it may end.
    """

    def __init__(
        self, name: str, log: list[str], *, is_async: bool = False, start_by: float = 1e9
    ) -> None:
        self.name = name
        self.log = log
        self.handler = self
        self.is_async = is_async
        self.start_by = start_by
        self.seconds = 0.0
        self.deadline = 0.0
        self.thread: int | None = None
        self.async_task: asyncio.Task[None] | None = None
        self.may_end = threading.Event()

    def run(self) -> None:
        self.thread = threading.get_ident()
        self.log.append(self.name)
        self.may_end.wait(30)

    async def run_async(self) -> None:
        self.async_task = asyncio.current_task()
        self.log.append(self.name)
        await asyncio.to_thread(self.may_end.wait, 30)


class Blocks(Waits):
    """One that blocks its event loop."""

    async def run_async(self) -> None:
        self.async_task = asyncio.current_task()
        self.run()


async def nothing() -> None:
    """What is done at the end of the loop."""


Start = Callable[[int], Slots]


@pytest.fixture
def slots() -> Iterator[Start]:
    made = []

    def start(count: int) -> Slots:
        made.append(Slots(count, nothing, contextvars.copy_context()))
        return made[-1]

    yield start
    for one in made:
        one.take_back()
        one.end()


def several(names: str, log: list[str], **options: Any) -> Any:
    """One for each letter."""
    return [Waits(name, log, **options) for name in names]


def add(slots: Slots, *waiting: Any) -> None:
    slots.add(waiting)


def end(*waiting: Waits) -> None:
    for one in waiting:
        one.may_end.set()


@pytest.mark.parametrize("is_async", [False, True])
def test_as_many_run_at_once_as_there_are_slots(slots: Start, is_async: bool) -> None:
    log: list[str] = []
    a, b, c, d = several("abcd", log, is_async=is_async)
    add(slots(2), a, b, c, d)
    wait_until(lambda: log == ["a", "b"])
    end(b)
    wait_until(lambda: log == ["a", "b", "c"])
    end(a, c, d)
    wait_until(lambda: log == ["a", "b", "c", "d"])


def test_both_kinds_share_the_slots_in_order(slots: Start) -> None:
    log: list[str] = []
    waiting = [Waits(str(n), log, is_async=n % 2 == 0) for n in range(20)]
    add(slots(1), *waiting)
    for n, one in enumerate(waiting):
        wait_until(lambda n=n: len(log) == n + 1)  # type: ignore[misc]
        end(one)
    assert log == [one.name for one in waiting]


def test_quick_ones_share_a_thread_until_one_of_them_waits(slots: Start) -> None:
    log: list[str] = []
    quick = several("q" * 2000, log)
    end(*quick)
    slow = several("abcde", log)
    add(slots(5), *quick, *slow)
    wait_until(lambda: sorted(log[2000:]) == ["a", "b", "c", "d", "e"])
    end(*slow)


def test_what_waits_is_taken_back(slots: Start) -> None:
    log: list[str] = []
    a, b, c = several("abc", log)
    made = slots(1)
    add(made, a, b, c)
    wait_until(lambda: log == ["a"])
    assert made.take_back() == [b, c]
    assert made.take_back() == []
    end(a)


def test_only_what_is_overdue_and_has_no_slot_is_taken_back(slots: Start) -> None:
    log: list[str] = []
    (a,) = several("a", log, start_by=1.0)
    late, soon = several("bc", log, start_by=2.0)
    (later,) = several("d", log, start_by=3.0)
    made = slots(1)
    add(made, a, late, later, soon)
    wait_until(lambda: log == ["a"])
    assert made.take_back_overdue(1.9) == []
    assert made.take_back_overdue(2.0) == [late, soon]
    assert made.start_by == 3.0
    end(a, later)
    wait_until(lambda: log == ["a", "d"])


def test_what_was_to_start_on_a_loop_that_is_left_is_taken_back(slots: Start) -> None:
    log: list[str] = []
    blocks: Any = Blocks("a", log, is_async=True)
    late: Any = Waits("b", log, is_async=True, start_by=0)
    running = slots(2)
    add(running, blocks, late)
    wait_until(lambda: log == ["a"])
    asked_at = time.monotonic()
    running.look(asked_at)
    # As after a look at what was late while it still waited for a thread to start it.
    running._start_by = math.inf
    assert running.take_back_overdue(asked_at) == []
    later = asked_at + BLOCKED_AFTER
    running.look(asked_at + BLOCKED_AFTER / 2)
    running.look(later)
    assert running.let_go(blocks, later) is not None
    assert running.take_back_overdue(later) == [late]
    blocks.may_end.set()
    wait_until(lambda: not running._let_go)
    assert log == ["a"]
