"""Many tasks that end together: whatever waits for them starts exactly once, and nobody deadlocks.

QUANTUMFLOW_JOINS says how many joins there are of every width; by default as many as fit the time.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import os
import random
import threading
from typing import TYPE_CHECKING, TypeVar

import psycopg
import pytest

from races.stopping import Call
from support.engine import Engine, Task, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

pytestmark = pytest.mark.system

T = TypeVar("T")

WIDTHS = [2, 3, 4, 8, 16, 32, 64]
SESSIONS = 4
# The tasks of one round: more would only make the claims longer.
ROUND = 480


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
    # Maps narrower than that are counted in one row, wider ones in several.
    engine.count_apart_from(8)
    engine.define("two_maps", [{"name": name, "type": "map"} for name in ("one", "two")])
    engine.define(
        "gather", [{"name": "each", "type": "map"}, {"name": "first", "dependencies": ["each"]}]
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


def _finish_together(
    reporters: Sequence[Engine],
    runs: Sequence[Sequence[tuple[Task, object]]],
    report: Callable[[Engine, Task, object], Sequence[T]],
) -> list[T]:
    """Let the sessions report the tasks of run after run, each a share of every run."""
    barrier = threading.Barrier(len(reporters))

    def work(number: int, engine: Engine) -> list[T]:
        answers: list[T] = []
        for run in runs:
            barrier.wait(30)
            for result in run[number :: len(reporters)]:
                answers += report(engine, *result)
        return answers

    with concurrent.futures.ThreadPoolExecutor(len(reporters)) as pool:
        futures = [pool.submit(work, *pair) for pair in enumerate(reporters)]
        return [answer for future in futures for answer in future.result(120)]


def _insist(engine: Engine, task: Task, output: object) -> list[str]:
    """Complete a task, again and again as long as the snapshot was too old for it."""
    while True:
        with contextlib.suppress(psycopg.errors.SerializationFailure):
            return [engine.complete(task, output)]


def _exchange(engine: Engine, task: Task, output: object) -> list[Task]:
    """Complete a task; answers what was handed out for it."""
    outcomes, tasks = engine.exchange([(task, output)], 9)
    assert outcomes == ["completed"]
    return tasks


def _rounds(width: int) -> list[int]:
    """How many joins of this width there are in each round."""
    count = int(os.environ.get("QUANTUMFLOW_JOINS", ROUND // width))
    size = max(1, ROUND // width)
    return [min(size, count - done) for done in range(0, count, size)]


@pytest.mark.timeout(3600 if "QUANTUMFLOW_JOINS" in os.environ else 120)
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
@pytest.mark.parametrize("shape", ["join", "gather"])
@pytest.mark.parametrize(
    "width", [w if w in (2, 8, 64) else pytest.param(w, marks=pytest.mark.long) for w in WIDTHS]
)
def test_every_join_starts_exactly_once(
    engine: Engine, new_engine: Callable[[], Engine], width: int, shape: str, isolation: str
) -> None:
    """Steps that end together, or the tasks of one map, by single reports of several sessions."""
    chance = random.Random(width)
    reporters = [new_engine() for _ in range(min(SESSIONS, width))]
    for reporter in reporters:
        reporter.connection.execute(f"set default_transaction_isolation = '{isolation}'")
    flow = f"join_{width}" if shape == "join" else "gather"
    behind = ("first", "second") if shape == "join" else ("first",)

    for count in _rounds(width):
        engine.start_many(flow, [list(range(width)) if shape == "gather" else {}] * count)
        by_run = _tasks_by_run(engine.claim(count * width))
        assert len(by_run) == count
        for tasks in by_run.values():
            chance.shuffle(tasks)

        outcomes = _finish_together(
            reporters,
            [[(task, [task.step_slug, task.task_index]) for task in t] for t in by_run.values()],
            _insist,
        )

        assert outcomes == ["completed"] * (count * width)
        assert engine.problems() == []
        joins = engine.claim(count * 3)
        assert sorted((join.run_id, join.step_slug) for join in joins) == sorted(
            itertools.product(by_run, behind)
        )
        for join in joins:
            assert join.input == _input_of(join.step_slug, shape, width)
        assert set(engine.complete_all([(join, None) for join in joins])) == {"completed"}
        ended = "select status, count(*) from quantumflow.workflow_runs group by status"
        assert engine.rows(ended) == [("completed", count)]
        remove_runs(engine.connection)

    for reporter in reporters:
        reporter.connection.close()


@pytest.mark.parametrize("shape", ["join", "gather"])
@pytest.mark.parametrize("width", [2, 32])
def test_every_join_is_handed_over_exactly_once(
    engine: Engine, reporters: list[Engine], width: int, shape: str
) -> None:
    """As above, with complete_and_claim: to whoever ended the last step, and to nobody else."""
    count = ROUND // width
    flow = f"join_{width}" if shape == "join" else "gather"
    behind = ("first", "second") if shape == "join" else ("first",)
    engine.start_many(flow, [list(range(width)) if shape == "gather" else {}] * count)
    by_run = _tasks_by_run(engine.claim(count * width))
    for tasks in by_run.values():
        random.Random(width).shuffle(tasks)

    joins = _finish_together(
        reporters,
        [[(task, [task.step_slug, task.task_index]) for task in t] for t in by_run.values()],
        _exchange,
    )

    assert sorted((join.run_id, join.step_slug) for join in joins) == sorted(
        itertools.product(by_run, behind)
    )
    for join in joins:
        assert join.input == _input_of(join.step_slug, shape, width)
    assert engine.claim(1) == []
    assert engine.problems() == []
    # What was handed over is reported by one call, and ends all runs.
    assert set(engine.complete_all([(join, None) for join in joins])) == {"completed"}
    ended = "select status, count(*) from quantumflow.workflow_runs group by status"
    assert engine.rows(ended) == [("completed", count)]
    assert engine.problems() == []


def test_sessions_that_exchange_share_chains_and_maps_without_a_claim(
    engine: Engine, reporters: list[Engine]
) -> None:
    """Each task goes to one of them, once, to the end of all runs; none is forgotten."""
    engine.define(
        "line",
        [
            {"name": "a"},
            {"name": "each", "type": "map", "dependencies": ["a"], "chunk_size": 3},
            {"name": "again", "type": "map", "dependencies": ["each"]},
            {"name": "z", "dependencies": ["again"]},
        ],
    )
    runs, items = 25, 8
    engine.start_many("line", [{}] * runs)
    barrier = threading.Barrier(len(reporters))

    def output_of(task: Task) -> object:
        if task.step_slug == "a":
            return list(range(items))
        return task.input["items"] if task.step_slug == "each" else None

    def work(engine: Engine) -> list[Task]:
        done: list[Task] = []
        barrier.wait(30)
        _, tasks = engine.exchange([], 3)
        # Others may have all that is left of a step when this one has nothing to do.
        while tasks or engine.messages() > 0:
            done += tasks
            outcomes, tasks = engine.exchange([(task, output_of(task)) for task in tasks], 3)
            assert set(outcomes) <= {"completed"}
        return done

    with concurrent.futures.ThreadPoolExecutor(len(reporters)) as pool:
        done = [task for tasks in pool.map(work, reporters) for task in tasks]

    assert len({task.key for task in done}) == len(done) == runs * (1 + 3 + items + 1)
    assert {task.attempt for task in done} == {1}
    ended = "select status, output, count(*) from quantumflow.workflow_runs group by 1, 2"
    assert engine.rows(ended) == [("completed", {"z": None}, runs)]
    assert engine.value("select output from quantumflow.step_states where step_slug = 'each'") == (
        list(range(items))
    )
    assert engine.problems() == []


def _input_of(slug: str, shape: str, width: int) -> dict[str, object]:
    if shape == "gather":
        return {"run": list(range(width)), "each": [["each", n] for n in range(width)]}
    wanted = range(width) if slug == "first" else {0, width - 1}
    return {"run": {}} | {f"branch_{n}": [f"branch_{n}", 0] for n in wanted}


@pytest.mark.parametrize("step", ["left", "each"])
def test_a_snapshot_from_before_another_report_is_refused_and_then_accepted(
    engine: Engine, reporters: list[Engine], step: str
) -> None:
    """It would not see that the other has ended its part, and the join would never start."""
    one, other = reporters[:2]
    engine.start("join_2" if step == "left" else "gather", [0, 1] if step == "each" else {})
    first, second = engine.claim(2)
    other.connection.execute("begin isolation level repeatable read")
    other.value("select 1")
    assert one.complete(first) == "completed"
    with pytest.raises(psycopg.errors.SerializationFailure):
        other.complete(second)
    other.connection.execute("rollback")
    assert engine.problems() == []
    assert other.complete(second) == "completed"
    assert "first" in {task.step_slug for task in engine.claim(3)}
    assert engine.problems() == []


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


def test_reports_of_a_large_map_do_not_wait_for_each_other(
    engine: Engine, reporters: list[Engine]
) -> None:
    """Each takes its tasks off other counters; who finds too little in what is free waits."""
    one, other, third = reporters[:3]
    other.connection.execute("set lock_timeout = '5s'")
    engine.start("gather", list(range(32)))
    tasks = engine.claim(32)

    with one.connection.transaction():
        assert one.complete(tasks[0], 0) == "completed"
        assert other.complete(tasks[1], 1) == "completed"
        assert other.complete_all([(task, 0) for task in tasks[2:12]]) == ["completed"] * 10
        late = [(task, 0) for task in tasks[12:]]
        rest = Call(third, lambda session: session.complete_all(late))
        assert rest.settle(engine)

    assert rest.result() == ["completed"] * 20
    other.connection.execute("reset lock_timeout")
    assert [task.step_slug for task in engine.claim(2)] == ["first"]
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


@pytest.mark.parametrize("level", ["step", "run"])
def test_steps_and_runs_of_batches_in_opposite_orders_do_not_deadlock(
    engine: Engine, reporters: list[Engine], level: str
) -> None:
    """As above, with tasks that are different ones, of the same steps or of the same runs."""
    first, second, third, fourth = reporters
    if level == "step":
        run_id = engine.start("two_maps", [0, 1])
        query = f"select from quantumflow.step_states where run_id = '{run_id}' and step_slug = %s"
        keys: list[object] = ["one", "two"]
    else:
        query = "select from quantumflow.workflow_runs where id = %s"
        keys = [*sorted(engine.start_many("join_2", [{}, {}]))]
    # One task of each step or run for either session, the second one's in the opposite order.
    tasks = sorted(engine.claim(4), key=lambda task: task.key)

    def complete(order: tuple[int, int]) -> Callable[[Engine], list[str]]:
        return lambda session: session.complete_all([(tasks[n], 1) for n in order])

    with third.connection.transaction(force_rollback=True):
        third.connection.execute(query + " for update", (keys[0],))
        calls = [Call(first, complete((0, 2))), Call(second, complete((3, 1)))]
        assert [call.settle(engine) for call in calls] == [True, True]
        # Neither holds the second one while it waits for the first.
        with fourth.connection.transaction(force_rollback=True):
            fourth.connection.execute(query + " for update nowait", (keys[1],))
    assert [call.result() for call in calls] == [["completed"] * 2] * 2
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
