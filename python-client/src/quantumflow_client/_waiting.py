"""Waiting for a run to end: what to ask, how long to sleep, what the answer means. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _sql
from .errors import RunCancelled, RunFailed, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from uuid import UUID

    from ._call import Call
    from ._json import Json

Status = dict[str, Any]

_FIRST, _MOST = 0.01, 1.0


def until_ended(
    run_id: UUID, timeout: float | None, clock: Callable[[], float]
) -> Generator[Call[Status] | float, Status | None, Json]:
    """Wait for a run: yields calls, to be sent their answers, and numbers of seconds to sleep.

    Returns:
        The run's output.

    Raises:
        RunFailed, RunCancelled, WaitTimeout: As they say.
    """
    give_up = None if timeout is None else clock() + timeout
    pause = _FIRST
    while True:
        asked_at = clock()
        status = yield _sql.status(run_id)
        assert status is not None
        now = clock()
        state = status["status"]
        if state == "completed":
            return status["output"]
        if state == "failed":
            raise RunFailed(run_id, status["error_message"])
        if state == "cancelled":
            raise RunCancelled(run_id, status["error_message"])
        if give_up is not None and now >= give_up:
            raise WaitTimeout(run_id, state)
        # A run of many tasks takes long to describe: do not keep the database busy with that.
        pause = max(pause, 10 * (now - asked_at))
        yield pause if give_up is None else min(pause, give_up - now)
        pause = min(pause * 1.5, _MOST)
