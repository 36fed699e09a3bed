"""Waiting for a run to end: what to ask, how long to sleep, what the answer means. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _sql
from ._log import logger
from ._runs import RunStatus, reader_of
from .errors import RunCancelled, RunFailed, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from uuid import UUID

    from ._call import Call

Status = RunStatus

_FIRST, _GROWTH, _MOST = 0.01, 1.25, 0.5
_AWAY_FIRST, _AWAY_MOST = 0.1, 1.0
"""How many seconds after a look that failed the next one comes: doubled each time."""


PATIENCE_LEAST = 1.0
"""How many seconds the server may be silent at least before a look is given up."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask.

    Attributes:
        call: The call.
        within: How many seconds are left; None: as many as it takes.
    """

    call: Call[Any]
    within: float | None

    @property
    def patience(self) -> float | None:
        """How many seconds the server may be silent."""
        return None if self.within is None else max(self.within, PATIENCE_LEAST)


def until_ended(
    run_id: UUID, timeout: float | None, clock: Callable[[], float]
) -> Generator[Ask | float, RunStatus | Exception | None, Any]:
    """Wait for a run: yields what to ask, and numbers of seconds to sleep.

    It is sent the answer, or an error that may pass: a server that is away, or no free connection.

    Returns:
        The run's output, as its flow's type where it has one.

    Raises:
        RunFailed, RunCancelled, WaitTimeout: As they say.
        UnsupportedValue: The output cannot be read as that type.
    """
    give_up = None if timeout is None else clock() + timeout
    pause, away, state = _FIRST, 0.0, "unknown"
    reader = reader_of(run_id)
    is_exact = reader is not None and reader.is_exact
    while True:
        asked_at = clock()
        answer = yield Ask(
            _sql.runs.status(run_id, summary=True, exact=is_exact),
            None if give_up is None else max(give_up - asked_at, 0.0),
        )
        now = clock()
        error = answer if isinstance(answer, Exception) else None
        if answer is not None and not isinstance(answer, Exception):
            state, away = answer["status"], 0.0
            if state == "completed":
                output = answer["output"]
                return output if reader is None else reader(output, "the run's output")
            if state == "failed":
                raise RunFailed(run_id, answer["error_message"])
            if state == "cancelled":
                raise RunCancelled(run_id, answer["error_message"])
        if give_up is not None and now >= give_up:
            raise WaitTimeout(run_id, state, _why(error)) from error
        if error is None:
            # A run of many steps takes longer: do not keep the database busy with that.
            this = pause = max(pause, 10 * (now - asked_at))
            pause = min(pause * _GROWTH, _MOST)
        else:
            if not away:
                logger.warning(
                    "run %s is waited for, though a look at it failed: %s", run_id, error
                )
            this = away = min(max(away * 2, _AWAY_FIRST), _AWAY_MOST)
        yield this if give_up is None else min(this, give_up - now)


def _why(error: Exception | None) -> str | None:
    return None if error is None else f"The last look at it failed: {str(error).splitlines()[0]}"
