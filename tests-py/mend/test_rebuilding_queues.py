"""rebuild_queues() has the tables to itself, or changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from support.engine import Engine

Connect = Callable[..., psycopg.Connection[Any]]

REBUILD = "select * from quantumflow.rebuild_queues()"


@pytest.mark.parametrize("held", ["task", "message"])
def test_it_is_refused_while_somebody_works(connect: Connect, held: str) -> None:
    other, engine = Engine(connect()), Engine(connect())
    engine.define("one", [{"name": "only"}])
    engine.start("one")
    (before,) = engine.rows("select * from pgmq.q_quantum_flow_queue")

    with other.connection.transaction(force_rollback=True):
        if held == "task":
            other.value("select 1 from quantumflow.step_tasks for update")
        else:
            other.value("select 1 from pgmq.q_quantum_flow_queue for update")
        # It waits for 3 s, since autovacuum gives way; the first connection stays where it is.
        with pytest.raises(psycopg.Error) as caught:
            engine.rows(REBUILD)

    assert caught.value.sqlstate == "QF405"
    assert engine.rows("select * from pgmq.q_quantum_flow_queue") == [before]
    assert engine.rows(REBUILD) == [("quantum_flow_queue", 1)]
    assert engine.problems() == []
