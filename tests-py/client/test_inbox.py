"""What other threads tell the worker's loop, and how long it waits for that."""

from __future__ import annotations

import threading
from typing import Any

from quantumflow_client._sql.tasks import Completion, TaskRef
from quantumflow_client._worker.inbox import Inbox


class Hears:
    """Stands in for the core."""

    def __init__(self) -> None:
        self.results: list[tuple[int, float]] = []

    def ended(self, reports: list[Completion], seconds: float) -> None:
        self.results.append((len(reports), seconds))


def done(index: int) -> Completion:
    return Completion(TaskRef("run", "step", index, 7), "1")


def heard(inbox: Inbox) -> list[tuple[int, float]]:
    core: Any = Hears()
    inbox.empty_into(core)
    results: list[tuple[int, float]] = core.results
    return results


def test_results_are_told_together() -> None:
    inbox = Inbox()
    assert heard(inbox) == []
    for index in range(3):
        inbox.put_result(done(index), 0.5)
    assert heard(inbox) == [(3, 1.5)]
    assert heard(inbox) == []


def test_an_event_happens_where_it_is_heard() -> None:
    inbox, where = Inbox(), []
    inbox.put(lambda now: where.append((threading.current_thread(), now > 0)))
    heard(inbox)
    assert where == [(threading.current_thread(), True)]


def test_it_does_not_wait_for_results_that_are_there() -> None:
    inbox = Inbox()
    inbox.put_result(done(0), 0.5)
    inbox.wait(3600, results=1)


def test_so_many_results_end_the_wait() -> None:
    inbox = Inbox()
    waits = threading.Thread(target=inbox.wait, args=(3600, 2), daemon=True)
    inbox.put_result(done(0), 0.5)
    waits.start()
    inbox.put_result(done(1), 0.5)
    waits.join(30)
    assert not waits.is_alive()


def test_an_event_ends_the_wait() -> None:
    inbox = Inbox()
    inbox.put(lambda _: None)
    inbox.wait(3600, results=1)
