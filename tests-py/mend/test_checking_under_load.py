"""check_state() finds nothing while all is well, whatever goes on meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from mend.crowd import SETTINGS, STEPS, Crowd, start, work
from support.engine import Engine

if TYPE_CHECKING:
    import random


def steer(engine: Engine, chance: random.Random) -> Any:
    """Do something to a run; that it is refused in the state that the run is in is fine."""
    runs = engine.rows("select id from quantumflow.workflow_runs order by random() limit 1")
    if not runs:
        return False
    call = chance.choice(
        [
            "pause_run(%(run)s)",
            "resume_run(%(run)s)",
            "resume_run(%(run)s)",
            "cancel_run(%(run)s)",
            "retry_run(%(run)s)",
            "retry_run(%(run)s, 'b')",
            "delete_run(%(run)s)",
            "start_ready_steps(%(run)s)",
            "sweep()",
        ]
    )
    try:
        engine.connection.execute(
            f"select quantumflow.{call}".encode(), {"run": runs[0][0]} if "run" in call else None
        )
    except psycopg.Error as error:
        if not (error.sqlstate or "").startswith("QF"):
            raise
    return True


def test_nothing_is_found_while_all_is_well(
    connection: psycopg.Connection[Any], crowd: Crowd
) -> None:
    engine = Engine(connection)
    engine.define("load", STEPS, **SETTINGS)
    checks = 0

    def check(engine: Engine, chance: random.Random) -> Any:
        nonlocal checks
        assert engine.problems() == []
        checks += 1
        return True

    crowd.add(start)
    crowd.add(work, 3)
    crowd.add(steer, 2)
    crowd.add(check, 2)
    crowd.watch(lambda: checks >= 60)
    crowd.stop()

    assert engine.problems() == []
    statuses = {row[0] for row in engine.rows("select status from quantumflow.workflow_runs")}
    assert {"completed", "cancelled"} <= statuses
