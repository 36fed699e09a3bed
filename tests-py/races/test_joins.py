"""Many tasks that end together: whatever waits for them starts exactly once, and nobody deadlocks.

Fails when, in the extension:

- _hold_runs takes FOR KEY SHARE where a step ends (joins are lost);
- _hold_steps does not lock the steps (maps are never gathered);
- _hold_reported locks tasks in the order of the reports (deadlocks).
"""

from __future__ import annotations

import concurrent.futures
import random
import threading
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest

from races.stopping import Call
from support.engine import Engine, Task, remove_runs

pytestmark = pytest.mark.system

pytestmark = pytest.mark.system

WIDTHS = [2, 3, 5, 8, 16]
SESSIONS = 4


@pytest.fixture(scope="module")
def engine(new_engine: Callable[[], Engine]) -> Engine:
    engine = new_engine()
    for width in WIDTHS:
        branches = [f"branch_{n}" for n in range(width)]
        engine.define(
            f"join_{width}",
            [{"name": name} for name in branches]
            + [
                {"name": "first", "dependencies": branches},
                {"name": "second", "dependencies": [branches[0], branches[-1]]},
            ],
        )
    engine.define(
        "gather",
        [
            {"name": "each", "type": "map"},
            {"name": "after", "dependencies": ["each"]},
        ],
    )
    return engine


@pytest.fixture(scope="module")
def reporters(new_engine: Callable[[], Engine]) -> list[Engine]:
    return [new_engine() for _ in range(SESSIONS)]


@pytest.fixture(autouse=True)
def no_runs(engine: Engine) -> None:
    remove_runs(engine.connection)


def _report_together(
    reporters: Sequence[Engine], batches: Sequence[Sequence[Sequence[tuple[Task, object]]]]
) -> list[str]:
    """Let each session complete its batches, one call each, all beginning at once."""
    barrier = threading.Barrier(len(reporters))

    def work(engine: Engine, mine: Sequence[Sequence[tuple[Task, object]]]) -> list[str]:
        barrier.wait(30)
        return [outcome for batch in mine if batch for outcome in engine.complete_all(batch)]

    with concurrent.futures.ThreadPoolExecutor(len(reporters)) as pool:
        futures = [pool.submit(work, *pair) for pair in zip(reporters, batches, strict=True)]
        return [outcome for future in futures for outcome in future.result(60)]


def _tasks_by_run(tasks: Sequence[Task]) -> dict[UUID, list[Task]]:
    found: dict[UUID, list[Task]] = {}
    for task in tasks:
        found.setdefault(task.run_id, []).append(task)
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_every_join_starts_exactly_once(
    engine: Engine, reporters: list[Engine], width: int
) -> None:
    runs = 480 // width
    chance = random.Random(width)
    engine.start_many(f"join_{width}", [{} for _ in range(runs)])
    by_run = _tasks_by_run(engine.claim(runs * width))
    assert len(by_run) == runs
    # One task a call, and the tasks of one run go to different sessions at about the same time.
    batches: list[list[list[tuple[Task, object]]]] = [[] for _ in reporters]
    for tasks in by_run.values():
        chance.shuffle(tasks)
        for n, task in enumerate(tasks):
            batches[n % len(reporters)].append([(task, task.step_slug)])

    outcomes = _report_together(reporters, batches)

    assert outcomes == ["completed"] * (runs * width)
    assert engine.problems() == []
    joins = engine.claim(runs * 3)
    assert sorted((t.run_id, t.step_slug) for t in joins) == sorted(
        (run_id, slug) for run_id in by_run for slug in ("first", "second")
    )
    branches = {f"branch_{n}" for n in range(width)}
    for join in joins:
        expected = branches if join.step_slug == "first" else {"branch_0", f"branch_{width - 1}"}
        assert join.input == {"run": {}} | {name: name for name in expected}


@pytest.mark.parametrize("size", [1, 10])
def test_every_map_is_gathered_exactly_once(
    engine: Engine, reporters: list[Engine], size: int
) -> None:
    """Tasks of one map, reported one or ten a call by several sessions."""
    runs, width = 20, 40
    engine.start_many("gather", [list(range(width)) for _ in range(runs)])
    tasks = engine.claim(runs * width)
    random.Random(size).shuffle(tasks)
    batches = [
        [
            [(task, task.task_index * 10) for task in mine[start : start + size]]
            for start in range(0, len(mine), size)
        ]
        for mine in (tasks[n :: len(reporters)] for n in range(len(reporters)))
    ]

    outcomes = _report_together(reporters, batches)

    assert outcomes == ["completed"] * (runs * width)
    after = engine.claim(runs * 2)
    assert len({task.run_id for task in after}) == len(after) == runs
    assert all(task.input["each"] == [n * 10 for n in range(width)] for task in after)
    assert engine.problems() == []


def test_opposite_orders_stopped_in_the_middle_do_not_deadlock(
    engine: Engine, reporters: list[Engine]
) -> None:
    """Each would hold what the other wants next, if tasks were locked in the order of reports."""
    first, second, third = reporters[:3]
    run_id = engine.start("gather", list(range(4)))
    tasks = {task.task_index: task for task in engine.claim(4)}

    def complete(order: tuple[int, ...]) -> Callable[[Engine], list[str]]:
        return lambda session: session.complete_all([(tasks[n], n) for n in order])

    with third.connection.transaction(force_rollback=True):
        third.connection.execute(
            "select from quantumflow.step_tasks where run_id = %s and task_index in (1, 2) "
            "for update",
            (run_id,),
        )
        calls = [Call(first, complete((3, 1, 0))), Call(second, complete((0, 2, 3)))]
        assert [call.settle(engine) for call in calls] == [True, True]
    outcomes = [call.result() for call in calls]

    assert sorted(outcomes[0] + outcomes[1]) == ["completed"] * 4 + ["duplicate"] * 2
    assert [task.input["each"] for task in engine.claim(4)] == [[0, 1, 2, 3]]
    assert engine.problems() == []


def test_batches_in_opposite_orders_do_not_deadlock(
    engine: Engine, reporters: list[Engine]
) -> None:
    """Every session reports the same tasks of the same runs, each in another order.

    A deadlock would be raised as 40P01, and nothing else tells a session what the others do.
    """
    runs, width = 12, 8
    chance = random.Random(1)
    for _ in range(6):
        engine.start_many(f"join_{width}", [{} for _ in range(runs)])
        tasks = engine.claim(runs * width)
        orders = [tasks, tasks[::-1]] + [chance.sample(tasks, len(tasks)) for _ in range(2)]
        batches = [[[(task, 1) for task in order]] for order in orders]

        outcomes = _report_together(reporters, batches)

        assert outcomes.count("completed") == runs * width
        assert outcomes.count("duplicate") == (SESSIONS - 1) * runs * width
        assert len(engine.claim(runs * 3)) == runs * 2
    assert engine.problems() == []


def test_reports_of_all_kinds_at_once_do_not_deadlock(
    engine: Engine, reporters: list[Engine]
) -> None:
    """Batches over the same runs that complete, fail, fail for good and hand back."""
    runs, width = 10, 8
    chance = random.Random(2)
    for _ in range(8):
        run_ids = engine.start_many(f"join_{width}", [{} for _ in range(runs)])
        tasks = engine.claim(runs * width)
        barrier = threading.Barrier(SESSIONS + 1)

        def complete(engine: Engine, order: list[Task], barrier: threading.Barrier) -> None:
            barrier.wait(30)
            engine.complete_all([(task, 1) for task in order])

        def fail(engine: Engine, order: list[Task], barrier: threading.Barrier) -> None:
            barrier.wait(30)
            engine.fail_all(order[::3], retryable=False)
            engine.fail_all(order[1::3])

        def hand_back(engine: Engine, order: list[Task], barrier: threading.Barrier) -> None:
            barrier.wait(30)
            engine.release(order)

        def cancel(engine: Engine, order: list[Task], barrier: threading.Barrier) -> None:
            barrier.wait(30)
            for run_id in sorted({task.run_id for task in order})[::2]:
                engine.cancel(run_id)

        with concurrent.futures.ThreadPoolExecutor(SESSIONS + 1) as pool:
            verbs = (complete, fail, hand_back, cancel)
            futures = [
                pool.submit(verb, session, chance.sample(tasks, len(tasks)), barrier)
                for verb, session in zip(verbs, reporters, strict=True)
            ]
            barrier.wait(30)
            for future in futures:
                future.result(60)
        engine.sweep()
        assert engine.problems() == []
        for run_id in run_ids:
            engine.cancel(run_id)
    assert engine.messages() == 0
