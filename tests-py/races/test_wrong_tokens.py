"""Whoever shows a token that is not the task's holds up nobody, whatever he calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from support.engine import Engine, Task, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.system

CALLS: dict[str, tuple[Any, Callable[[Engine, Task], Any]]] = {
    "hold_task": (
        "lost",
        lambda engine, task: engine.value(
            "select quantumflow.hold_task(%s, %s, %s, %s)", *task.key, task.lease_token
        ),
    ),
    "complete_tasks": ("stale", lambda engine, task: engine.complete(task, 1)),
    "complete_and_claim": (
        (["stale"], []),
        lambda engine, task: engine.exchange([(task, 1)]),
    ),
    "fail_tasks": ("stale", lambda engine, task: engine.fail(task)),
    "release_tasks": (0, lambda engine, task: engine.release([task])),
    "extend_leases": (["lost"], lambda engine, task: engine.extend([task])),
    "complete_task": (
        "stale",
        lambda engine, task: engine.value(
            "select quantumflow.complete_task(%s, %s, %s, '1', %s)", *task.key, task.lease_token
        ),
    ),
    "fail_task": (
        "stale",
        lambda engine, task: engine.value(
            "select quantumflow.fail_task(%s, %s, %s, 'no', %s)", *task.key, task.lease_token
        ),
    ),
}


@pytest.fixture(scope="module")
def engines(new_engine: Callable[[], Engine]) -> list[Engine]:
    found = [new_engine() for _ in range(2)]
    found[0].define("one", [{"name": "only"}])
    return found


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("others", ["another's", "none"])
def test_a_wrong_token_holds_up_nobody(engines: list[Engine], name: str, others: str) -> None:
    stranger, worker = engines
    remove_runs(worker.connection)
    worker.start("one")
    (task,) = worker.claim()
    token = task.lease_token + 1 if others == "another's" else None
    if token is None and name in ("complete_task", "fail_task"):
        pytest.skip("that is by hand")

    answer, call = CALLS[name]
    with stranger.connection.transaction():
        assert call(stranger, replace(task, lease_token=token)) == answer  # type: ignore[arg-type]
        worker.value("select set_config('lock_timeout', '200 ms', false)")
        assert worker.complete(task, 1) == "completed"
    assert worker.problems() == []
