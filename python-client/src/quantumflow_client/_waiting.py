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

_FIRST, _GROWTH = 0.01, 1.25
_MOST, _MOST_TOLD = 0.5, 5.0
"""How many seconds there are at most between two looks; where the end is told, too."""

_LONG = 0.05
"""From how long a pause on it is worth a connection to be told of the end."""

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
        may_be_refused: Whether it goes on without, whatever the error is.
    """

    call: Call[Any]
    within: float | None
    may_be_refused: bool = False

    @property
    def patience(self) -> float | None:
        """How many seconds the server may be silent."""
        return None if self.within is None else max(self.within, PATIENCE_LEAST)


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait, until the run may have ended.

    Attributes:
        seconds: At most so long.
        is_long: Whether it is worth a connection to be told of the end.
    """

    seconds: float
    is_long: bool


def until_ended(
    run_id: UUID, timeout: float | None, clock: Callable[[], float]
) -> Generator[Ask | Sleep, Any, Any]:
    """Wait for a run: yields what to ask, and how long to sleep.

    It is sent the answer, or an error that may pass: a server that is away, or no free connection;
    and after a sleep whether ends are heard of. The first time that they are it asks for this one
    to be told; it looks by itself as well, since not all that is told arrives.

    Returns:
        The run's output, as its flow's type where it has one.

    Raises:
        RunFailed, RunCancelled, WaitTimeout: As they say.
        UnsupportedValue: The output cannot be read as that type.
    """
    give_up = None if timeout is None else clock() + timeout
    pause, away, state = _FIRST, 0.0, "unknown"
    is_heard = has_asked = is_told = False
    answer: Any
    reader = reader_of(run_id)
    is_exact = reader is not None and reader.is_exact
    while True:
        asked_at = clock()
        left = None if give_up is None else max(give_up - asked_at, 0.0)
        if is_heard and not has_asked:
            has_asked = True
            said = yield Ask(_sql.steering.announce_end(run_id), left, may_be_refused=True)
            is_told = said in ("started", "paused")
            if not is_told:
                continue
            answer = {"status": said}
        else:
            answer = yield Ask(_sql.runs.status(run_id, summary=True, exact=is_exact), left)
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
            most = _MOST_TOLD if is_heard and is_told else _MOST
            this = pause = max(min(pause, most), 10 * (now - asked_at))
            pause *= _GROWTH
        else:
            if not away:
                logger.warning(
                    "run %s is waited for, though a look at it failed: %s", run_id, error
                )
            this = away = min(max(away * 2, _AWAY_FIRST), _AWAY_MOST)
        is_heard = yield Sleep(this if give_up is None else min(this, give_up - now), this >= _LONG)


def _why(error: Exception | None) -> str | None:
    return None if error is None else f"The last look at it failed: {str(error).splitlines()[0]}"
