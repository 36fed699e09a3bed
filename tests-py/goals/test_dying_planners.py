"""Who plans, or does what was planned, dies by SIGKILL: another goes on, and nothing is done twice.

Fails when what a dead worker was asked for is not asked of another.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import make_conninfo

from goals.planning import PHASES, planning
from quantumflow_client import Client
from support.engine import allow_test_clock

if TYPE_CHECKING:
    import psycopg


def _die(dsn: str, phase: str) -> None:
    died = subprocess.run(
        [sys.executable, "-m", "goals.planning", phase],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"QUANTUMFLOW_DSN": dsn},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr


@pytest.mark.long
@pytest.mark.parametrize("phase", PHASES)
def test_another_goes_on(phase: str, dsn: str, connection: psycopg.Connection[Any]) -> None:
    allow_test_clock(connection)
    # When every lease has run out.
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    with Client(make_conninfo(dsn, options=f"-c quantumflow.now={later.isoformat()}")) as client:
        client.deploy(planning(client, "none"))
        client.deploy_decomposers()
        with Client(dsn) as now:
            run_id = now.start_flow("planning")
            goal_id = now.start_goal("do it", "planner")
        _die(dsn, phase)
        _die(dsn, phase)  # there are a plan of a step, and one of a goal
        assert client.check() == []
        client.poll_and_run(until_idle=True)
        assert client.wait(run_id, timeout=60) == {"p": {"end": 2}}
        goal = client.goal_status(goal_id)
        assert (goal["status"], goal["output"], goal["plans"]) == ("completed", {"end": 2}, 2)
        tree = client.status(run_id, tree=True)["children"]
        assert [child["status"] for child in tree] == ["completed"] * 3
        assert client.check() == []
