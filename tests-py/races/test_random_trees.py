"""Six sessions on random trees: runs that start runs, loops, sleeps, waits, all of it steered.

Each session starts, claims, reports, loses leases, settles, sweeps, mends, defines anew and steers
roots and children alike, as its own dice say. Whatever meets: no deadlock, each refusal has a code
of ours, check_state() is empty at any moment, and when all is resumed, claims and settling alone
(no sweep, which would find what was forgotten) bring all to its end, and leave nothing behind.
"""

from __future__ import annotations

import concurrent.futures
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from support.engine import Engine, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable

SESSIONS = 6
LEVELS = 4
FLOWS_A_LEVEL = 3
ROOTS_AT_ONCE = 30
ITEMS = [1, 2]

OPEN = "status in ('started', 'paused')"


def _step(dice: random.Random, name: str, below: list[str]) -> dict[str, Any]:
    """One of any kind, of those that start runs only where there are flows below."""
    plain: list[dict[str, Any]] = [
        {},
        {"type": "map", "tolerate": "100%"},
        {"type": "sleep", "seconds": 0.01},
        {"type": "wait", "timeout": 0.05, "on_error": "continue"},
        {"type": "loop", "until": "$iteration >= 2", "max_iterations": 5, "keep": 2},
    ]
    if not below:
        return {"name": name} | dice.choice(plain)
    flow = {"flow": dice.choice(below), "max_attempts": dice.choice([1, 2])}
    if dice.random() < 0.3:
        flow["on_error"] = "continue"
    starting: list[dict[str, Any]] = [
        flow | {"type": "flow", "input": ITEMS, "timeout": dice.choice([1, 600])},
        flow | {"type": "map", "input": ITEMS, "max_children": dice.choice([1, 2, 100])},
        flow
        | {"type": "loop", "input": ITEMS, "until": "$iteration >= 1", "max_iterations": 3}
        | {"keep": dice.choice([1, 100])},
    ]
    return {"name": name} | dice.choice(starting * 2 + plain)


def _flow(dice: random.Random, level: int, number: int) -> dict[str, Any]:
    below = [_slug(level - 1, n) for n in range(FLOWS_A_LEVEL)] if level else []
    steps: list[dict[str, Any]] = []
    for n in range(dice.randint(1, 3)):
        step = _step(dice, f"s{n}", below if n == 0 or dice.random() < 0.5 else [])
        # A map is over the run's input, which is an array at each level.
        if steps and step.get("type") != "map" and dice.random() < 0.6:
            step["after"] = [dice.choice(steps)["name"]]
        steps.append(step)
    return {"slug": _slug(level, number), "steps": steps, "retry_delay": 0, "max_attempts": 2}


def _slug(level: int, number: int) -> str:
    return f"t{level}x{number}"


class Session:
    """One of those who work and steer; what it did is counted by what was answered."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.dice = random.Random(seed)
        self.seen: Counter[tuple[str, str]] = Counter()
        self._acts: dict[Callable[[], Any], int] = {
            self._start: 6,
            self._work: 40,
            self._lose: 2,
            self._settle: 10,
            self._sweep: 2,
            self._by_hand: 2,
            self._define: 1,
            self._repair: 1,
            self._prune: 1,
            self._signal: 3,
            **{self._steering(act): 3 for act in ("cancel", "pause", "retry")},
            self._steering("resume"): 6,
            self._steering("delete"): 1,
            self._retry_from: 2,
        }

    def act(self) -> None:
        (act,) = self.dice.choices([*self._acts], [*self._acts.values()])
        name = act.__name__.strip("_")
        try:
            act()
            self.seen[name, "done"] += 1
        except psycopg.Error as error:
            if not (error.sqlstate or "").startswith("QF"):
                raise AssertionError(f"{name}: {error.sqlstate} {error}") from error
            self.seen[name, str(error.sqlstate)] += 1

    def _any(self, query: str) -> Any:
        """A row of those that a query of (a, b, ...) finds, by this session's dice."""
        rows = self.engine.rows(f"{query} limit 200")
        return self.dice.choice(rows) if rows else None

    def _start(self) -> None:
        roots = "select count(*) from quantumflow.workflow_runs where parent_run_id is null and "
        if self.engine.value(roots + OPEN) < ROOTS_AT_ONCE:
            level, number = self.dice.randrange(LEVELS), self.dice.randrange(FLOWS_A_LEVEL)
            self.engine.start(_slug(level, number), ITEMS)

    def _work(self) -> None:
        tasks = self.engine.claim(self.dice.choice([1, 5, 20]), lease=60)
        self.dice.shuffle(tasks)
        failing = tasks[: sum(self.dice.random() < 0.05 for _ in tasks)]
        if failing:
            self.engine.fail_all(failing, retryable=self.dice.random() < 0.5)
        done = tasks[len(failing) :]
        if done:
            self.engine.exchange([(task, ITEMS) for task in done], 1, lease=0.1)

    def _lose(self) -> None:
        self.engine.claim(2, lease=0.05)

    def _settle(self) -> None:
        self.engine.value("select settled from quantumflow.settle()")

    def _sweep(self) -> None:
        self.engine.sweep()

    def _by_hand(self) -> None:
        found = self._any(
            "select run_id, step_slug, task_index from quantumflow.step_tasks"
            " where status in ('queued', 'started')"
        )
        if found and self.dice.random() < 0.5:
            self.engine.value(
                "select quantumflow.complete_task(%s, %s, %s, %s)", *found, Jsonb(ITEMS)
            )
        elif found:
            self.engine.value("select quantumflow.fail_task(%s, %s, %s, 'no')", *found)

    def _define(self) -> None:
        level, number = self.dice.randrange(LEVELS), self.dice.randrange(FLOWS_A_LEVEL)
        definition = _flow(self.dice, level, number)
        self.engine.value("select version from quantumflow.define_flow(%s)", Jsonb(definition))

    def _repair(self) -> None:
        self.engine.rows("select * from quantumflow.repair()")

    def _prune(self) -> None:
        self.engine.value("select quantumflow.prune('0 s')")

    def _signal(self) -> None:
        found = self._any(
            "select run_id, step_slug from quantumflow.step_tasks"
            " where queue = 'quantum_flow_system' and status = 'queued'"
        )
        if found:
            self.engine.value("select quantumflow.send_signal(%s, %s, '[1]')", *found)

    def _steering(self, act: str) -> Callable[[], None]:
        wanted = {
            "cancel": "status = 'started'",
            "pause": "status = 'started'",
            "resume": "status = 'paused'",
            "retry": "status in ('failed', 'cancelled')",
            "delete": "status not in ('started', 'paused')",
        }[act]

        def steer() -> None:
            found = self._any(f"select id from quantumflow.workflow_runs where {wanted}")
            if found:
                self.engine.value(f"select (quantumflow.{act}_run(%s)).status", *found)

        steer.__name__ = act
        return steer

    def _retry_from(self) -> None:
        found = self._any(f"select id from quantumflow.workflow_runs where not {OPEN}")
        if found:
            self.engine.value(
                "select (quantumflow.retry_run(%s, from_step => 's0')).status", *found
            )


def _to_the_end(engine: Engine) -> None:
    """Who was paused goes on, and claims and settling do the rest."""
    patience = time.monotonic() + 60
    while left := engine.rows(
        f"select id, workflow_slug, status from quantumflow.workflow_runs where {OPEN}"
    ):
        for run_id, _, status in left:
            if status == "paused":
                try:
                    engine.value("select (quantumflow.resume_run(%s)).status", run_id)
                except psycopg.Error as error:
                    assert (error.sqlstate or "").startswith("QF"), error  # noqa: PT017 - or ended
        engine.value("select settled from quantumflow.settle()")
        engine.drain(output=ITEMS)
        assert time.monotonic() < patience, f"waits for ever: {left}, {engine.problems()}"


@pytest.mark.parametrize(
    ("acts", "seconds"),
    [
        pytest.param(50, 0, id="short", marks=pytest.mark.long),
        pytest.param(0, 600, id="ten minutes", marks=[pytest.mark.long, pytest.mark.timeout(1200)]),
    ],
)
def test_six_sessions_on_random_trees(
    new_engine: Callable[[], Engine],
    record_property: Callable[[str, object], None],
    acts: int,
    seconds: int,
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    watcher = new_engine()
    # From below: a flow must be there before one that names it.
    for level in range(LEVELS):
        for number in range(FLOWS_A_LEVEL):
            watcher.value(
                "select version from quantumflow.define_flow(%s)",
                Jsonb(_flow(dice, level, number)),
            )
    sessions = [Session(new_engine(), dice.randrange(10**6)) for _ in range(SESSIONS)]
    over = threading.Event()
    until = time.monotonic() + seconds

    def play(session: Session) -> None:
        done = 0
        while not over.is_set() and (done < acts or time.monotonic() < until):
            try:
                session.act()
            except BaseException:
                over.set()
                raise
            done += 1

    looks = 0
    with concurrent.futures.ThreadPoolExecutor(SESSIONS) as pool:
        played = [pool.submit(play, session) for session in sessions]
        while not all(each.done() for each in played):
            if problems := watcher.problems():
                over.set()
                pytest.fail(f"at work: {problems}")
            looks += 1
            concurrent.futures.wait(played, 3)
    for each in played:
        each.result()
    _to_the_end(watcher)
    assert watcher.problems() == []
    for table in (
        "quantumflow._tree_work",
        "pgmq.q_quantum_flow_system",
        "pgmq.q_quantum_flow_queue",
    ):
        assert watcher.value(f"select count(*) from {table}") == 0, table
    seen = sum((session.seen for session in sessions), Counter())
    assert seen["start", "done"] > 0
    assert seen["work", "done"] > 0
    record_property("acts", seen.total())
    record_property("looks at all of it", looks)
    record_property("what was answered", dict(sorted(seen.items())).__repr__())
    remove_runs(watcher.connection)
