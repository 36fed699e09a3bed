"""What a step that a run goes on without has to leave to others, and what they find then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from races.stopping import Call, holding

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.engine import Engine

pytestmark = pytest.mark.system

_STEPS: list[dict[str, Any]] = [
    {"name": "each", "type": "map", "on_error": "continue", "max_attempts": 1},
    {"name": "after", "dependencies": ["each"], "join": "none", "if": "1 == 1"},
]


@pytest.fixture(scope="module")
def engine(new_engine: Callable[[], Engine]) -> Engine:
    engine = new_engine()
    engine.define("partial", _STEPS)
    return engine


def test_a_task_that_somebody_holds_is_cancelled_by_a_sweep(
    engine: Engine, new_engine: Callable[[], Engine]
) -> None:
    run_id = engine.start("partial", [1, 2])
    first, second = sorted(engine.claim(2), key=lambda task: task.task_index)
    with holding(new_engine(), "task", run_id, "each"):
        assert engine.fail(second) == "failed"
        assert engine.step_statuses(run_id) == {"each": "failed", "after": "started"}
        assert engine.task_statuses(run_id)["each", 0] == "started"
        assert engine.problems() == []

    assert engine.sweep()["unfinished ends"] == 1
    assert engine.task_statuses(run_id)["each", 0] == "cancelled"
    assert engine.value("select count(*) from quantumflow._unfinished_ends") == 0
    assert engine.complete(first) == "run_ended"
    assert engine.drain() == 1
    assert engine.run_status(run_id) == "completed"
    assert engine.problems() == []


def test_a_report_that_waited_for_its_step_finds_it_over(
    engine: Engine, new_engine: Callable[[], Engine]
) -> None:
    run_id = engine.start("partial", [1, 2])
    first, second = sorted(engine.claim(2), key=lambda task: task.task_index)
    reporters = new_engine(), new_engine()
    with holding(new_engine(), "step", run_id, "each"):
        fails = Call(reporters[0], lambda session: session.fail(second))
        assert fails.settle(engine)
        completes = Call(reporters[1], lambda session: session.complete(first, "late"))
        assert completes.settle(engine)
    assert (fails.result(), completes.result()) == ("failed", "run_ended")

    engine.sweep()
    assert engine.task_statuses(run_id)["each", 0] == "cancelled"
    assert engine.drain() == 1
    assert engine.run_status(run_id) == "completed"
    assert engine.problems() == []
