"""Every call beside every other on one run, stopped at every row, and nothing gets stuck or lost.

A run is in one of the states of races/scenes.py; leases that there are have run out, but in the
scene "passing". A third session holds one row. The first call starts and ends or waits; the second
starts and ends or waits; the third session lets go; both must end. Then:

- there was no deadlock (40P01 would be raised, after deadlock_timeout = 100 ms);
- what never waits (claim, sweep, extend) did not wait;
- two calls that wait left what one after the other would have left, in one of the two orders;
- an attempt that was reported was handed to nobody else, and the other way round;
- what ended a wait is one thing: a signal, which is taken then, its deadline, a person, its run;
- after a sweep check_state() is empty, and the run goes on to its end when workers go on;
- then it can be deleted, and nothing of it is left.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from races.conftest import OPTIONS
from races.scenes import ACTED, ANSWERS, NEVER_WAIT, PASSES_OVER, RACE, SCENES, Arena, Case, call
from races.stopping import Call, holding
from support.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantumflow_client.embedded import EmbeddedServer

# So many cases run side by side, each in a database of its own.
ARENAS = 3

PAIRS = [
    (
        name,
        first,
        second,
        (m + n + (first == scene.mends)) % one_of > 0 or m % scene.share > 0,
    )
    for name, scene in SCENES.items()
    for one_of in [2 if scene.mends else len(scene.calls)]
    for m, first in enumerate(scene.calls)
    for n, second in enumerate((*scene.calls, *scene.right_calls))
    if scene.mends in ("", first, second) and scene.about in ("", first, second)
]
"""Most are long. What is left has each call of each scene, as the first and as the second; beside
one that mends, as the one or the other; where only a share is left, each call of the scenes."""

SLUGS = {"left", "right", "join", "next", "each", "after", "_on_complete", "_on_failure"}
OVER = {"completed", "failed", "cancelled"}


@dataclass(frozen=True)
class Pair:
    """Two calls in a scene, of which one may change the workflow."""

    scene: str
    first: str
    second: str
    max_lost: int

    @property
    def changes_flow(self) -> bool:
        return "add_step" in (self.first, self.second)

    @property
    def can_wait(self) -> bool:
        return not PASSES_OVER & {self.first, self.second}


@pytest.fixture(scope="module")
def arenas(server: EmbeddedServer, template: str) -> Iterator[list[Arena]]:
    with contextlib.ExitStack() as opened:
        admin = opened.enter_context(psycopg.connect(server.dsn("postgres"), autocommit=True))

        def new_arena(number: int) -> Arena:
            name = f"pairs_{number}"
            create = sql.SQL("create database {} template {}")
            admin.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
            drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
            opened.callback(admin.execute, drop)

            def new_engine() -> Engine:
                connection = psycopg.connect(server.dsn(name), autocommit=True, options=OPTIONS)
                return Engine(opened.enter_context(connection))

            return Arena(new_engine)

        yield [new_arena(number) for number in range(ARENAS)]


@pytest.fixture(scope="module")
def seen() -> set[tuple[Any, ...]]:
    """The states from which a worker has gone on to the end."""
    return set()


@pytest.mark.parametrize(
    ("scene", "first", "second"),
    [
        pytest.param(
            scene,
            first,
            second,
            id=f"{scene}: {first} - {second}",
            marks=[pytest.mark.xdist_group(f"{scene}: {first}"), *[pytest.mark.long] * is_long],
        )
        for scene, first, second, is_long in PAIRS
    ],
)
def test_two_calls_stopped_at_every_row(
    arenas: list[Arena], seen: set[tuple[Any, ...]], scene: str, first: str, second: str
) -> None:
    limits = SCENES[scene].limits if {"claim", "sweep"} & {first, second} else (3,)
    pairs = [Pair(scene, first, second, limit) for limit in limits]
    allowed = {pair: _in_either_order(arenas[0], pair) for pair in pairs}
    cases = list(itertools.product(pairs, SCENES[scene].rows))

    def work(number: int) -> list[str]:
        return [
            f"{row} held, max_lost {pair.max_lost}: {problem}"
            for pair, row in cases[number :: len(arenas)]
            for problem in _problems(arenas[number], pair, row, allowed[pair], seen)
        ]

    with concurrent.futures.ThreadPoolExecutor(len(arenas)) as pool:
        problems = [problem for found in pool.map(work, range(len(arenas))) for problem in found]
    assert problems == []


def _in_either_order(arena: Arena, pair: Pair) -> list[tuple[Any, ...]]:
    """The two answers and the state when one call comes after the other."""
    if not pair.can_wait:
        return []
    found = []
    for order in (1, -1):
        case = arena.new_case(pair.scene, pair.max_lost, of_its_own=pair.changes_flow)
        answers = [call(n, case, arena.racers[0]) for n in (pair.first, pair.second)[::order]]
        found.append((*answers[::order], arena.state(pair.scene, case)))
    return found


def _problems(
    arena: Arena,
    pair: Pair,
    row: str,
    allowed: list[tuple[Any, ...]],
    seen: set[tuple[Any, ...]],
) -> Iterator[str]:
    """Stop two calls at a row, let them go on, and tell what is wrong."""
    names = (pair.first, pair.second)
    case = arena.new_case(pair.scene, pair.max_lost, of_its_own=pair.changes_flow)
    steps = SCENES[pair.scene].steps
    step, child = steps.get(row, "left"), steps.get("child", "join")

    with holding(arena.third, row, case.run_id, step, child):
        calls = []
        for name, engine in zip(names, arena.racers, strict=True):
            calls.append(Call(engine, functools.partial(call, name, case)))
            if calls[-1].settle(arena.watcher) and name in NEVER_WAIT:
                yield f"{name} waits"
    try:
        answers = [made.result() for made in calls]
    except psycopg.Error as error:
        yield f"{error.sqlstate} {error}"
        return

    handed_out: list[str] = []
    for name, answer in zip(names, answers, strict=True):
        outcome, tasks = _parts(name, answer)
        handed_out += [slug for slug in tasks if not slug.startswith("other ")]
        if not set(handed_out) <= SLUGS or outcome not in ANSWERS[name.removesuffix(" right")]:
            yield f"{name}: {answer}"
    if len(handed_out) > len(set(handed_out)) and "each" not in handed_out:
        yield f"{answers}: handed out twice"
    for name, answer in zip(names, answers, strict=True):
        task = case.right if name.endswith("right") else case.left
        is_report = name.startswith(("complete", "exchange", "fail"))
        if (
            is_report
            and _parts(name, answer)[0] in ACTED
            and task.step_slug in {*handed_out} - {"each"}
        ):
            yield f"{name}: {answer}, and {task.step_slug} was handed out"

    if SCENES[pair.scene].is_sound:
        arena.setup.set_clock(RACE)
        for problem in arena.setup.problems():
            yield f"right after {answers}: {problem}"
    state = arena.state(pair.scene, case)
    if pair.can_wait and (*answers, state) not in allowed:
        yield f"{answers} and {state}, which no order leads to: {allowed}"
    for problem in arena.setup.problems():
        yield f"after {answers}: {problem}"
    for twice in _in_two_ways(arena, pair.scene, names, answers):
        yield f"after {answers}: {twice}"
    # What follows depends on the state alone, so that one case of each will do.
    if (pair.scene, pair.max_lost, state) not in seen:
        seen.add((pair.scene, pair.max_lost, state))
        yield from _problems_on_the_way_to_the_end(arena, case, answers)


def _in_two_ways(
    arena: Arena, scene: str, names: tuple[str, ...], answers: list[Any]
) -> Iterator[str]:
    """What ends a wait is one of a signal, which is taken then, its deadline, a person, its run."""
    found = arena.setup.rows(
        """
        select t.status, t.output, t.error_message,
          array(
            select g.signal
            from quantumflow.signals g
            where (g.run_id, g.step_slug) = (t.run_id, t.step_slug)
            order by g.taken_at)
        from quantumflow.step_tasks t
        where t.step_slug = 'left'
          and t.queue = 'quantum_flow_system'
        """
    )
    made = dict(zip(names, answers, strict=True))
    for status, output, error, taken in found:
        before = scene == "wait answered"
        by_signal = status == "completed" and isinstance(output, dict) and "signal" in output
        if by_signal and taken[-1:] != [output["signal"]]:
            yield f"its output is {output}, and it took {taken}"
        if len(taken) > before + by_signal:
            yield f"it took {taken}, and is {status} with {output}"
        if made.get("by hand") == "completed" and (status, output) != ("completed", "hand"):
            yield f"a person has completed it, and it is {status} with {output}"
        if made.get("fail by hand") == "failed" and (status, error) != ("failed", "no"):
            yield f"a person has failed it, and it is {status} with {error}"


def _parts(name: str, answer: Any) -> tuple[Any, tuple[str, ...]]:
    """The outcome of a call, and what it handed out."""
    if name == "claim":
        return None, answer
    return (answer[0], answer[1:]) if name.startswith("exchange") else (answer, ())


def _problems_on_the_way_to_the_end(arena: Arena, case: Case, answers: list[Any]) -> Iterator[str]:
    statuses = arena.work_to_the_end(case)
    if not set(statuses) <= OVER:
        yield f"after {answers} and all the work: {statuses}"
    for problem in arena.setup.problems():
        yield f"after {answers} and all the work: {problem}"
    if arena.messages() > 0:
        yield f"after {answers} and all the work: messages are left"
    for what, count in arena.leftovers():
        yield f"after {answers}, and when all runs are deleted: {count} rows are left, {what}"
