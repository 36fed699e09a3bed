"""What came of a run in a rehearsal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic
from uuid import UUID

from quantumflow_client.errors import RunCancelled, RunFailed, UnsupportedValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import TypeVar

    from quantumflow_client._json import Json
    from quantumflow_client._sql.looking import Attempt

    OutT_co = TypeVar("OutT_co", default=Any, covariant=True)
else:
    from typing import TypeVar

    OutT_co = TypeVar("OutT_co", covariant=True)


class Stuck(AssertionError):  # noqa: N818 - as those of errors.py
    """The run does not go on, however much time passes; it says for what it waits."""


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What came of a step.

    Attributes:
        status: created, started, completed, failed, skipped or cancelled.
        output: Its output, as JSON is; None if it has none.
        attempts: How many attempts there were, of all its tasks.
        skip_reason: Why it was skipped: condition or dependency.
        error: Why it failed.
    """

    status: str
    output: Json
    attempts: int
    skip_reason: str | None
    error: str | None


@dataclass(frozen=True)
class Outcome(Generic[OutT_co]):
    """What came of a run.

    Attributes:
        run_id: The run.
        status: completed, failed or cancelled.
        error: Why it failed, or was cancelled.
        steps: What came of each step.
        callbacks: The status of `_on_complete` or `_on_failure`, where the flow has one.
        attempts: Every attempt, in order of when they were due.
        started_at: When it started, by the clock of the rehearsal.
        took: How long it took, by that.
        gave_up: How many steps and tasks it went on without.
    """

    run_id: UUID
    status: str
    error: str | None
    steps: Mapping[str, StepOutcome]
    callbacks: Mapping[str, str]
    attempts: list[Attempt]
    started_at: datetime
    took: timedelta
    gave_up: int
    _output: Any
    _cause: BaseException | None

    @property
    def output(self) -> OutT_co:
        """The run's output: as `wait` returns it.

        Raises:
            RunFailed: It failed; from what the handler has raised.
            RunCancelled: It was cancelled.
            UnsupportedValue: It is not what the flow says, as where a step was skipped.
        """
        if isinstance(self._output, UnsupportedValue):
            raise self._output
        if self.status == "failed":
            raise RunFailed(self.run_id, self.error) from self._cause
        if self.status == "cancelled":
            raise RunCancelled(self.run_id, self.error)
        output: OutT_co = self._output
        return output
