"""Runs to draw: with a worker that was lost, with a long sleep, with a large map."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from quantumflow_client import Attempt, FailedAttempt
from quantumflow_client.page.facts import Facts, Step

START = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)
RUN_ID = uuid.UUID(int=7)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def step(number: int, slug: str, begin: float | None, end: float | None, **more: Any) -> Step:
    values: dict[str, Any] = {
        "type": "single",
        "status": "created" if begin is None else "started" if end is None else "completed",
        "depends_on": [],
        "after": [],
        "tasks": {"total": 1, "failures": 0},
        "note": None,
    }
    return Step(
        number=number,
        slug=slug,
        started_at=None if begin is None else at(begin),
        ended_at=None if end is None else at(end),
        **values | more,
    )


def attempt(
    slug: str, index: int, due: float, began: float | None, ended: float | None, **more: Any
) -> Attempt:
    values: dict[str, Any] = {
        "outcome": "completed" if ended is not None else "started",
        "kind": None,
        "worker": "worker 1",
        "error_message": None,
        "retries": 0,
        "attempt": 1,
    }
    return Attempt(
        step_slug=slug,
        task_index=index,
        due_at=at(due),
        began_at=None if began is None else at(began),
        ended_at=None if ended is None else at(ended),
        **values | more,
    )


def facts(steps: list[Step], attempts: list[Attempt], end: float | None, **more: Any) -> Facts:
    run = {
        "run_id": str(RUN_ID),
        "workflow_slug": "census",
        "version": 1,
        "status": "started" if end is None else "completed",
        "output": None,
        "input": {},
        "headers": None,
        "error_message": None,
        "remaining_steps": 0,
        "priority": 0,
        "retries": 0,
        "gave_up": None,
        "idempotency_key": None,
        "created_at": START.isoformat(),
        "ended_at": None if end is None else at(end).isoformat(),
    }
    values: dict[str, Any] = {"path": [], "reasons": [], "failures": [], "events": []}
    return Facts(
        at=at(100),
        steps=steps,
        attempts=attempts,
        **values | more,
        run=run | more.pop("run", {}),
    )


def failed(message: str, details: Any, **more: Any) -> FailedAttempt:
    values: dict[str, Any] = {
        "run_id": RUN_ID,
        "workflow_slug": "census",
        "step_slug": "parse",
        "task_index": 1,
        "retries": 0,
        "attempt": 1,
        "kind": "error",
        "worker_id": None,
        "worker": "worker 1",
        "started_at": at(1),
        "ended_at": at(2),
        "due_at": at(0),
    }
    return FailedAttempt(error_message=message, error_details=details, **values | more)


def census() -> Facts:
    """Of three files, one is lost with its worker, and done again by another."""
    return facts(
        [
            step(1, "discover", 0, 1),
            step(
                2,
                "parse",
                1,
                8,
                type="map",
                depends_on=["discover"],
                tasks={"total": 3, "completed": 3, "failures": 1},
            ),
            step(3, "rank", 8, 9, depends_on=["parse"]),
            step(4, "report", 9, 10, depends_on=["rank", "discover"]),
        ],
        [
            attempt("discover", 0, 0, 0.5, 1),
            attempt("parse", 0, 1, 1, 2),
            attempt("parse", 1, 1, 1.5, 7, outcome="failed", kind="lost"),
            attempt("parse", 2, 1, 2, 3, worker="worker 2"),
            attempt("parse", 1, 7, 7.5, 8, worker="worker 2", attempt=2),
            attempt("rank", 0, 8, 8, 9),
            attempt("report", 0, 9, 9, 10),
        ],
        10,
        items={"parse": ["<b>a.py", "b.py", "c.py"]},
    )
