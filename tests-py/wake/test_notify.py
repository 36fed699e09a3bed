"""Who is told of new work: real listeners, and transactions that make work, or none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from support.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Connect

Connection = psycopg.Connection[Any]

DEFAULT = "quantum_flow_queue"
WIDE = {"slug": "wide", "steps": [{"name": "each", "type": "map"}]}
TWO = {"slug": "two", "steps": [{"name": "a"}, {"name": "b", "queue": "other"}]}
CHAIN = {"slug": "chain", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}
FORK = {
    "slug": "fork",
    "steps": [
        {"name": "a"},
        {"name": "b", "dependencies": ["a"]},
        {"name": "c", "dependencies": ["a"]},
    ],
}
LATER = {"slug": "later", "steps": [{"name": "a", "start_delay": 3600}]}


@pytest.fixture
def engine(connection: Connection) -> Engine:
    """The session that makes work."""
    for definition in (WIDE, TWO, CHAIN, FORK, LATER):
        connection.execute("select quantumflow.define_flow(%s::jsonb)", (json.dumps(definition),))
    return Engine(connection)


@pytest.fixture
def heard(engine: Engine, connect: Connect) -> Callable[[], list[str]]:
    """The queues that a listener has been told of since it was last asked, in order."""
    listener = connect()
    listener.execute("listen quantumflow")

    def hear() -> list[str]:
        # Notifications come in the order of their commits: all before this one have been heard.
        engine.value("select pg_notify('quantumflow', '')")
        queues: list[str] = []
        while "" not in queues:
            queues += [notice.payload for notice in listener.notifies(timeout=10, stop_after=1)]
        return queues[:-1]

    return hear


def start(engine: Engine, slug: str, **named: Any) -> str:
    arguments = "".join(f", {name} => %({name})s" for name in named)
    query = f"select quantumflow.start_flow(%(slug)s{arguments})::text"
    return str(engine.rows(query, slug=slug, **named)[0][0])


def age(engine: Engine, interval: str, queue: str = DEFAULT) -> None:
    """Let what is in the queue have been visible for so much longer."""
    engine.value(f"update pgmq.q_{queue} set vt = vt - %s::interval returning 1", interval)


def hand_over(engine: Engine, quantity: int) -> list[tuple[Any, ...]]:
    """Complete what a claim of one gets; the tasks handed out with that."""
    return engine.rows(
        """
        select x.step_slug
        from (
          select jsonb_agg(to_jsonb(c) || '{"output": 1}') as results
          from quantumflow.claim_tasks(%(worker)s) c
        ) k
        cross join lateral quantumflow.complete_and_claim(%(worker)s, k.results, %(quantity)s) x
        where x.outcome is null
        """,
        worker=engine.worker_id,
        quantity=quantity,
    )


def test_a_start_is_told(engine: Engine, heard: Callable[[], list[str]]) -> None:
    start(engine, "chain")
    assert heard() == [DEFAULT]


def test_a_wide_map_is_told_once(engine: Engine, heard: Callable[[], list[str]]) -> None:
    start(engine, "wide", input="[1, 2, 3, 4, 5]")
    assert heard() == [DEFAULT]


def test_a_transaction_tells_once_of_each_queue(
    engine: Engine, heard: Callable[[], list[str]]
) -> None:
    with engine.connection.transaction():
        for _ in range(3):
            start(engine, "two")
            start(engine, "chain")
    assert sorted(heard()) == ["other", DEFAULT]


def test_many_starts_are_told_once(engine: Engine, heard: Callable[[], list[str]]) -> None:
    engine.rows("select quantumflow.start_flows('chain', array_fill('{}'::jsonb, array[50]))")
    assert heard() == [DEFAULT]


def test_nobody_is_told_of_what_was_rolled_back(
    engine: Engine, heard: Callable[[], list[str]]
) -> None:
    with engine.connection.transaction():
        with engine.connection.transaction(force_rollback=True):
            start(engine, "two")
        start(engine, "later")
    with engine.connection.transaction(force_rollback=True):
        start(engine, "chain")
    assert heard() == []


def test_nobody_is_told_of_delayed_work(engine: Engine, heard: Callable[[], list[str]]) -> None:
    start(engine, "later")
    start(engine, "chain", start_at="2100-01-01")
    assert heard() == []


def test_nobody_is_told_when_it_is_switched_off(
    engine: Engine, heard: Callable[[], list[str]]
) -> None:
    engine.value("select quantumflow.configure('notify', '0')")
    start(engine, "chain")
    assert heard() == []
    engine.claim()
    engine.value("select quantumflow.configure('notify', null)")
    start(engine, "chain")
    assert heard() == [DEFAULT]


def test_nobody_is_told_of_what_was_handed_over(
    engine: Engine, heard: Callable[[], list[str]]
) -> None:
    start(engine, "fork")
    heard()
    assert sorted(hand_over(engine, 2)) == [("b",), ("c",)]
    assert heard() == []


def test_a_surplus_is_told(engine: Engine, heard: Callable[[], list[str]]) -> None:
    start(engine, "fork")
    heard()
    assert len(hand_over(engine, 1)) == 1
    assert heard() == [DEFAULT]


def test_a_completion_tells_of_what_it_made_ready(
    engine: Engine, heard: Callable[[], list[str]]
) -> None:
    start(engine, "fork")
    heard()
    engine.complete(*engine.claim())
    assert heard() == [DEFAULT]


def test_a_backlog_silences_its_command_in_its_queue_and_no_other(
    engine: Engine, heard: Callable[[], list[str]]
) -> None:
    start(engine, "chain")
    heard()
    age(engine, "1 s")
    start(engine, "two")
    assert heard() == ["other"]
    start(engine, "wide", input="[1]")
    assert heard() == [DEFAULT]
    engine.claim(10)
    start(engine, "chain")
    assert heard() == [DEFAULT]


def test_delayed_work_is_no_backlog(engine: Engine, heard: Callable[[], list[str]]) -> None:
    start(engine, "later")
    start(engine, "chain")
    assert heard() == [DEFAULT]


def test_released_work_is_told_unless_its_run_is_paused(
    engine: Engine, heard: Callable[[], list[str]]
) -> None:
    run_id = start(engine, "chain")
    heard()
    assert engine.release(engine.claim()) == 1
    assert heard() == [DEFAULT]
    held = engine.claim()
    engine.rows("select quantumflow.pause_run(%s)", run_id)
    assert engine.release(held) == 1
    assert heard() == []


def test_a_resumed_run_is_told_unless_all_of_it_is_delayed(
    engine: Engine, heard: Callable[[], list[str]]
) -> None:
    for slug, told in ("chain", [DEFAULT]), ("later", []):
        run_id = start(engine, slug)
        engine.rows("select quantumflow.pause_run(%s)", run_id)
        heard()
        engine.rows("select quantumflow.resume_run(%s)", run_id)
        assert heard() == told


def test_a_retried_run_is_told(engine: Engine, heard: Callable[[], list[str]]) -> None:
    run_id = start(engine, "chain")
    engine.value("select quantumflow.fail_task(%s, 'a', retryable => false)", run_id)
    heard()
    engine.rows("select quantumflow.retry_run(%s)", run_id)
    assert heard() == [DEFAULT]
