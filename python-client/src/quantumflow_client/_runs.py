"""Runs, as who starts them knows them: an id, and what is told of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict
from uuid import UUID

from . import _typed
from ._json import Json

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    OutT_co = TypeVar("OutT_co", default=Any, covariant=True)
else:
    from typing import TypeVar

    OutT_co = TypeVar("OutT_co", covariant=True)


class RunId(UUID, Generic[OutT_co]):
    """A run's id: a UUID that knows its flow's `output`, for `wait`.

    Copied, pickled, or read from a database, it is a UUID that knows nothing.
    """

    @classmethod
    def of(cls, run_id: UUID, output: object) -> RunId[Any]:
        """The id of a run whose output is of a type; None: as JSON is."""
        made = cls(int=run_id.int)
        object.__setattr__(made, "_output", output)
        return made


def reader_of(run_id: object) -> _typed.Reader | None:
    """What reads the output of a run; None: it is as JSON is."""
    output = vars(run_id).get("_output") if isinstance(run_id, RunId) else None
    return None if output is None else _typed.reader_of(output)


class RunState(TypedDict):
    """A run's row, as `status` tells it with `summary`; moments are texts in ISO 8601."""

    run_id: str
    workflow_slug: str
    version: int
    status: Literal["started", "paused", "completed", "failed", "cancelled"]
    output: Json
    error_message: str | None
    remaining_steps: int
    gave_up: int | None
    priority: int
    retries: int
    headers: dict[str, Json] | None
    idempotency_key: str | None
    created_at: str
    started_at: str | None
    paused_at: str | None
    ended_at: str | None


class StepState(TypedDict):
    """A step of a run; `tasks` counts them by status, and has `total` and `failures`."""

    step_slug: str
    step_type: str
    command: str
    status: str
    depends_on: list[str]
    after: list[str]
    remaining_deps: int
    started_at: str | None
    ended_at: str | None
    skip_reason: str | None
    condition: str | None
    fell_back: bool
    failed_tasks: int
    error_message: str | None
    tasks: dict[str, int]


class CallbackState(TypedDict):
    """What runs as a run has ended: `_on_complete` or `_on_failure`."""

    step_slug: str
    status: str
    error_message: str | None


class RunStatus(RunState):
    """All there is to say of a run, as `status` tells it."""

    input: Json
    steps: list[StepState]
    callbacks: list[CallbackState]
