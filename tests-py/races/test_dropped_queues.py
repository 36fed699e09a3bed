"""A queue that is dropped while a call waits for it is gone for that call, as it is for the next.

Fails when _hold_queue() leaves it to PostgreSQL to say that there is no such table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from races.stopping import Call
from support.engine import Engine, remove_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

pytestmark = pytest.mark.system

_UNKNOWN = 'queue "side" does not exist (QF401)'


@pytest.fixture(scope="module")
def engine(new_engine: Callable[[], Engine]) -> Engine:
    engine = new_engine()
    engine.define("usual", [{"name": "a"}, {"name": "b", "dependencies": ["a"], "queue": "side"}])
    engine.define("aside", [{"name": "a", "queue": "side"}])
    engine.define("mapped", [{"name": "a", "queue": "side", "type": "map"}])
    return engine


@pytest.fixture(scope="module")
def caller(new_engine: Callable[[], Engine]) -> Engine:
    return new_engine()


@pytest.fixture
def dropping(engine: Engine, new_engine: Callable[[], Engine]) -> Engine:
    """A session that has dropped the queue "side", where a task waits, and not committed."""
    remove_runs(engine.connection)
    engine.value("select quantumflow.setup()")
    engine.start("aside")
    dropping = new_engine()
    dropping.connection.execute("begin")
    dropping.connection.execute("select pgmq.drop_queue('side')")
    return dropping


def _during_the_drop(
    dropping: Engine, watcher: Engine, caller: Engine, function: Callable[[Engine], Any]
) -> Any:
    call = Call(caller, function)
    try:
        assert call.settle(watcher), "it waits for the queue"
    finally:
        dropping.connection.execute("commit")
    return call.result()


def _error(engine: Engine, run_id: UUID) -> str:
    query = "select error_message from quantumflow.workflow_runs where id = %s"
    return str(engine.value(query, run_id))


def test_a_claim_goes_round_it(engine: Engine, caller: Engine, dropping: Engine) -> None:
    engine.start("usual")
    tasks = _during_the_drop(
        dropping, engine, caller, lambda e: e.claim(2, queues=["side", "quantum_flow_queue"])
    )
    assert [task.step_slug for task in tasks] == ["a"]


def test_a_claim_of_nothing_else_is_told(engine: Engine, caller: Engine, dropping: Engine) -> None:
    with pytest.raises(psycopg.Error) as caught:
        _during_the_drop(dropping, engine, caller, lambda e: e.claim(queues=["side"]))
    assert caught.value.sqlstate == "QF401"


def test_a_start_that_needs_it_starts_nothing(
    engine: Engine, caller: Engine, dropping: Engine
) -> None:
    runs = "select count(*) from quantumflow.workflow_runs"
    before = engine.value(runs)
    with pytest.raises(psycopg.Error) as caught:
        _during_the_drop(dropping, engine, caller, lambda e: e.start("aside"))
    assert caught.value.sqlstate == "QF401"
    assert engine.value(runs) == before


def test_a_start_of_a_map_that_needs_it_fails_its_run(
    engine: Engine, caller: Engine, dropping: Engine
) -> None:
    run_id = _during_the_drop(dropping, engine, caller, lambda e: e.start("mapped", [1]))
    assert _error(engine, run_id).endswith(_UNKNOWN)


def test_a_report_fails_the_step_that_needs_it(
    engine: Engine, caller: Engine, dropping: Engine
) -> None:
    run_id = engine.start("usual")
    (task,) = engine.claim()
    assert _during_the_drop(dropping, engine, caller, lambda e: e.complete(task)) == "completed"
    assert _error(engine, run_id).endswith(_UNKNOWN)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("select queue, remedy from quantumflow.check_state()", ("side", "send it a new message")),
        ("select queue, action from quantumflow.repair()", ("side", "send it a new message")),
        (
            "select subject, fact from quantumflow.doctor() where subject = 'queue side'",
            ("queue side", "the queue does not exist"),
        ),
    ],
)
def test_who_looks_sees_that_it_is_gone(
    engine: Engine, caller: Engine, dropping: Engine, query: str, answer: tuple[str, str]
) -> None:
    assert _during_the_drop(dropping, engine, caller, lambda e: e.rows(query)) == [answer]


def test_a_sweep_goes_round_it(engine: Engine, caller: Engine, dropping: Engine) -> None:
    assert not any(_during_the_drop(dropping, engine, caller, Engine.sweep).values())
