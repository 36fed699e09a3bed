"""quantumflow repair, rebuild-queues, adopt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from support.command import ONE_STEP, Command

if TYPE_CHECKING:
    import psycopg

Define = Callable[[dict[str, Any]], str]


@pytest.fixture
def broken(quantumflow: Command, define: Define, connection: psycopg.Connection[Any]) -> str:
    """A run whose task has no message."""
    run_id = quantumflow.start(define(ONE_STEP))
    connection.execute("delete from pgmq.q_quantum_flow_queue")
    return run_id


def test_repair_says_what_it_would_do_and_does_it_when_told(
    quantumflow: Command, broken: str
) -> None:
    (said,) = quantumflow.lines("repair", expect=1)
    assert said["action"] == "send it a new message"
    assert (said["run_id"], said["step_slug"], said["task_index"]) == (broken, "only", 0)
    assert "send it a new message" in quantumflow("repair", expect=1).stdout
    assert len(quantumflow.lines("check", expect=1)) == 1

    assert "done: send it a new message" in quantumflow("repair", "--apply").stdout
    assert quantumflow("repair").stdout == quantumflow("check").stdout == "Every rule holds.\n"


def test_repair_ends_with_1_when_something_is_left(
    quantumflow: Command, broken: str, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("update quantumflow.step_tasks set attempts = 99")
    actions = [row["action"] for row in quantumflow.lines("repair", "--apply", expect=1)]
    assert actions == ["done: send it a new message", "none"]


def test_queues_are_rebuilt(quantumflow: Command, broken: str) -> None:
    assert quantumflow.lines("rebuild-queues") == [{"queue": "quantum_flow_queue", "messages": 1}]
    assert "quantum_flow_queue" in quantumflow("rebuild-queues").stdout
    quantumflow("check")


def test_a_copy_is_adopted(
    quantumflow: Command, broken: str, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("update quantumflow.settings set value = 'x' where name = 'identity'")
    identity = quantumflow.json("adopt")["identity"]
    assert quantumflow("adopt").stdout == f"adopted: {identity}\n"
    (found,) = connection.execute("select value from quantumflow.settings").fetchall()
    assert found == (identity,)
