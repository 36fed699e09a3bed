"""A minute of chaos. `make chaos` is the long one; see conductor for what happens.

Fails when handlers write on a connection of their own instead of in ctx.transaction(), when
resume_run does not wake the messages of the run, and when a worker claims more beside a task that
was lost before.
"""

from __future__ import annotations

import pytest

from chaos.conductor import Plan, run
from support.server import server_kind


@pytest.mark.timeout(900)
def test_nothing_is_lost_or_done_twice_while_everything_breaks() -> None:
    faults = {
        "kill": 3,
        "stall": 1,
        "end": 1,
        "terminate": 3,
        "restart": 1,
        "cut": 9,
        "reset": 1,
        "swallow": 3,
        "blackout": 1,
        "drop": 1,
        "hurry": 1,
        "deafen": 1,
    }
    report = run(
        Plan(
            seed=1,
            tasks=1200,
            workers=3,
            concurrency=20,
            lease=5,
            faults=faults,
            pause=0.6,
        )
    )
    assert report.problems == [], str(report)
    assert report.verdict.tasks >= 900
    assert report.verdict.redelivered > 0
    assert report.verdict.lost == report.verdict.doubled == 0
    assert set(report.faults) == {
        "worker killed",
        "worker stalled",
        "worker ended in order",
        "backend terminated",
        "server crashed",
        "connections reset",
        "half-open",
        "queue dropped",
        "statement_timeout",
        *(["NOTIFY queue full"] if server_kind() == "embedded" else []),
    }
    assert min(report.handlers.values()) > 0
    assert report.verdict.innocent_failed == 0
    assert {"claim_tasks", "complete_and_claim", "commit", "start_flow"} <= set(report.cuts)
