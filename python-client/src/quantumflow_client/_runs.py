"""Runs, as who starts them knows them: an id, and what is told of one."""

from __future__ import annotations

import re
import typing
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict
from uuid import UUID

from . import _json, _typed
from ._json import Json
from ._wanted import Wanted
from .errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import NotRequired, TypeVar

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


def step_to_read(step: str | Callable[..., Any]) -> tuple[str, Callable[[str, int], Any]]:
    """A step's slug, and what reads the outputs of its items by the function's annotation.

    Raises:
        BadArgument: The function is no step of a flow.
    """
    if isinstance(step, str):
        return step, lambda text, index: _json.decode(text, f"output {index}")
    wanted = getattr(step, "output", None)
    if not isinstance(wanted, Wanted) or wanted.step is None:
        raise BadArgument(f"{step!r} is no step of a flow: it is a slug, or a step's function")
    annotation = _typed.annotations_of(step)[0].get("return")
    if wanted.in_chunks:
        annotation = (*typing.get_args(annotation), None)[0]
    reader = None if annotation is None else _typed.reader_of(annotation)

    def read(text: str, index: int) -> Any:
        what = f"output {index}"
        if reader is None:
            return _json.decode(text, what)
        return reader(_json.decode(text, what, exact=reader.is_exact), what)

    return wanted.step, read


class RunState(TypedDict):
    """A run's row, as `status` tells it with `summary`; moments are texts in ISO 8601.

    `children` is there if it was asked for with `tree`.
    """

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
    parent: str | None
    root: str | None
    idempotency_key: str | None
    created_at: str
    started_at: str | None
    paused_at: str | None
    ended_at: str | None
    children: NotRequired[list[ChildState]]


class ChildState(TypedDict):
    """A run that a step of another has started, with those that its own steps have."""

    step_slug: str
    task_index: int
    run_id: str
    workflow_slug: str
    status: Literal["started", "paused", "completed", "failed", "cancelled"]
    error_message: str | None
    retries: int
    created_at: str
    ended_at: str | None
    children: list[ChildState]


class StepState(TypedDict):
    """A step of a run; `tasks` counts them by status, and has `total` and `failures`.

    `signals` is what a wait waits for; `until`, while it or a sleep goes on, when that ends;
    `child_flow` of which workflow it starts a run, and `child` that run.
    `iterations` is how many a loop has had, of `max_iterations`; `tasks` has those that are kept.
    """

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
    iterations: int | None
    max_iterations: int | None
    signals: list[str] | None
    until: str | None
    child_flow: str | None
    child: str | None
    error_message: str | None
    tasks: dict[str, int]


class CallbackState(TypedDict):
    """What runs as a run has ended: `_on_complete` or `_on_failure`."""

    step_slug: str
    status: str
    error_message: str | None


class RunStatus(RunState):
    """All there is to say of a run, as `status` tells it.

    `deadline` is when its own time is over, by the `run_timeout` of its flow.
    """

    input: Json
    deadline: str | None
    steps: list[StepState]
    callbacks: list[CallbackState]


def moment_of(text: str | None) -> datetime | None:
    """A moment as PostgreSQL writes it in JSON."""
    if text is None:
        return None
    # It leaves trailing zeros out; Python 3.10 wants all six digits.
    return datetime.fromisoformat(re.sub(r"\.(\d+)", lambda digits: f".{digits[1]:0<6}", text))
