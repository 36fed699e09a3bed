"""Pauses, limits, runs one at a time and acts on many, beside each other, and each held row.

A third session holds one row. The first call starts and ends or waits; so does the second; the
third lets go; both must end. There is no deadlock, what never waits did not wait, what is refused
has a code of ours, check_state() is empty right after, and when all is resumed everything ends.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from races.stopping import Call
from support.engine import Engine, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HELD = {
    "nothing": "",
    "message": "select from pgmq.q_quantum_flow_queue",
    "task": "select from quantumflow.step_tasks",
    "step": "select from quantumflow.step_states",
    "run": "select from quantumflow.workflow_runs where input = '\"x\"'",
    "pause": "select from quantumflow.pauses",
    "parked": "select from quantumflow._parked",
    "limit": "select from quantumflow.limits",
    "slot": "select from quantumflow._limit_slots",
    "wait": "select from quantumflow._limit_waits",
    "moment": "select from quantumflow._limit_turns",
    "turn": "select from quantumflow._run_turns",
}

_FILTER = """'{"workflow_slug": "w"}'"""
CALLS = {
    "pause flow": "pause_flow('w')",
    "resume flow": "resume_flow('w')",
    "pause queue": "pause_queue('quantum_flow_queue')",
    "resume queue": "resume_queue('quantum_flow_queue')",
    "pause command": "pause_command('a')",
    "resume command": "resume_command('a')",
    "set limit": "set_limit('api', 2, 1000)",
    "close limit": "set_limit('api', 0)",
    "remove limit": "remove_limit('api')",
    **{
        f"{act} many": f"{act}_runs({_FILTER}, dry_run => false)"
        for act in ("pause", "resume", "cancel", "retry", "delete")
    },
    "start": "start_flow('w', '\"x\"')",
    "start others": "start_flows('w', '{1,2}')",
    "sweep": "sweep()",
    "settle": "settle()",
}
NEVER_WAIT = {"sweep", "settle", "claim"}
"""A bulk act passes over runs that somebody holds, but waits for rows of a run that it has."""


def _claim(engine: Engine) -> str:
    return str(len(engine.claim(3)))


def _report(engine: Engine) -> str:
    tasks = engine.value(
        "select coalesce(jsonb_agg(to_jsonb(t) || '{\"output\": 1}'), '[]') from "
        "(select run_id, step_slug, task_index, lease_token from quantumflow.step_tasks "
        "where status = 'started') t"
    )
    found = engine.rows("select outcome from quantumflow.complete_tasks(%s)", Jsonb(tasks))
    return str(found)


def call(name: str, engine: Engine) -> str:
    """What came of it: an answer, or a refusal with a code of ours."""
    try:
        if name == "claim":
            return _claim(engine)
        if name == "complete":
            return _report(engine)
        return str(engine.rows(f"select * from quantumflow.{CALLS[name]}"))
    except psycopg.Error as error:
        if not re.fullmatch("QF...", error.sqlstate or ""):
            raise
        return str(error.sqlstate)


@pytest.fixture(scope="module")
def engines(new_engine: Callable[[], Engine]) -> list[Engine]:
    engines = [new_engine() for _ in range(4)]
    engines[0].define(
        "w",
        [{"name": "a", "limit": {"name": "api", "key": "$.run"}}, {"name": "b"}],
        one_at_a_time={"key": "$.run"},
        retry_delay=0,
    )
    return engines


@pytest.fixture(autouse=True)
def fresh(engines: list[Engine]) -> Iterator[None]:
    yield
    for engine in engines:
        engine.connection.execute("rollback")
    connection = engines[0].connection
    remove_runs(connection)
    for table in ("pauses", "_parked", "limits", "_limit_slots", "_limit_waits", "_run_turns"):
        connection.execute(f"delete from quantumflow.{table}")


def _build(engine: Engine) -> None:
    """A run that goes on, one with a task at work, two that wait for turns, one that failed.

    The flow is paused, what a claim met is parked, and something waits for a limit.
    """
    engine.rows("select * from quantumflow.set_limit('api', 1, 1000)")
    engine.start("w", "x")
    (task, *_) = engine.claim(1)
    engine.complete(task, 1)
    engine.claim(1)
    engine.start_many("w", ["x", "x", "y", "z"])
    engine.rows(
        "select * from quantumflow.cancel_run((select id from quantumflow.workflow_runs "
        "where input = '\"z\"'))"
    )
    engine.start("w", "u")
    engine.rows("select quantumflow.pause_flow('w')")
    engine.claim(10)


def _drain(engine: Engine) -> None:
    """All goes on, and ends."""
    for resume in ("resume_flow('w')", "resume_queue('quantum_flow_queue')", "resume_command('a')"):
        engine.rows(f"select quantumflow.{resume}")
    engine.rows("select * from quantumflow.set_limit('api', 100)")
    open_runs = (
        "select count(*) from quantumflow.workflow_runs where status in ('started', 'paused')"
    )
    for _ in range(100):
        engine.rows("select * from quantumflow.resume_runs('{\"all\": true}', dry_run => false)")
        engine.rows("select quantumflow.sweep()")
        engine.rows("select quantumflow.settle()")
        engine.claim(10)
        _report(engine)
        if not engine.value(open_runs):
            break
    assert engine.value(open_runs) == 0
    engine.rows("select quantumflow.sweep()")
    assert engine.problems() == []
    for table in ("_parked", "_run_turns"):
        assert engine.rows(f"select * from quantumflow.{table}") == []


NAMES = [*CALLS, "claim", "complete"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            first,
            second,
            id=f"{first} - {second}",
            marks=[
                pytest.mark.xdist_group(first),
                *[pytest.mark.long] * ((m + n) % 21 > 0 or m % 5 > 0),
            ],
        )
        for (m, first), (n, second) in itertools.product(enumerate(NAMES), enumerate(NAMES))
    ],
)
def test_two_calls_stopped_at_every_row(engines: list[Engine], first: str, second: str) -> None:
    a, b, holder, watcher = engines
    problems: list[Any] = []
    for row, query in HELD.items():
        _build(watcher)
        holder.connection.execute("begin")
        if query:
            holder.connection.execute(f"{query} for update".encode())
        calls = []
        for engine, name in ((a, first), (b, second)):
            calls.append((name, Call(engine, functools.partial(call, name))))
            if calls[-1][1].settle(watcher) and name in NEVER_WAIT:
                problems.append(f"{row} held: {name} waits")
        holder.connection.execute("rollback")
        for name, made in calls:
            try:
                made.result()
            except psycopg.Error as error:  # noqa: PERF203 - each is told
                problems.append(f"{row} held: {name}: {error.sqlstate} {error}")
        problems += [(row, problem) for problem in watcher.problems()]
        _drain(watcher)
        connection = watcher.connection
        remove_runs(connection)
        for table in ("pauses", "limits", "_limit_slots", "_limit_waits"):
            connection.execute(f"delete from quantumflow.{table}")
    assert problems == []
