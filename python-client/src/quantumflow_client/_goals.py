"""Goals, as who gives them knows them: the client's calls, and what comes of a goal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from . import _arguments
from .errors import (
    DecompositionFailed,
    QuantumflowError,
    WaitTimeout,
)

if TYPE_CHECKING:
    from ._json import Json

NOTHING: Mapping[str, Json] = {}

_PAUSE_FIRST, _PAUSE_MOST = 0.02, 0.5

F = TypeVar("F", bound=Callable[..., Any])

Goal = str | Mapping[str, Any]
Steps = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """What came of a goal, or of a graph of tasks.

    Attributes:
        goal: The goal, in words; None of a graph.
        goal_id: Its id; None of a graph, and of a goal that could not be given at all.
        run_id: Its run; None where it came to none.
        status: completed, failed, cancelled, or decomposed.
        outputs: The output of each task that completed, by its id; of a graph, by its step.
        output: The outputs of the tasks on which no other depends.
        error: Why it failed, or was cancelled; None if it did not.
        duration: How long it took.
        graph: The tasks that it came to.
    """

    goal: str | None
    goal_id: UUID | None
    run_id: UUID | None
    status: str
    outputs: dict[str, Json]
    output: Json
    error: str | None
    duration: timedelta
    graph: Json

    @property
    def ok(self) -> bool:
        """Whether all of it was done."""
        return self.status == "completed"

    def plan(self) -> Json:
        """The graph, of a goal that was to be decomposed.

        Raises:
            DecompositionFailed: It was not.
        """
        if self.status in ("failed", "cancelled"):
            raise DecompositionFailed(f"goal {self.goal_id} has {self.status}", detail=self.error)
        return self.graph

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> ExecutionResult:
        """What goal_status tells."""
        return cls(
            goal=found["goal"],
            goal_id=UUID(found["goal_id"]),
            run_id=None if found["run_id"] is None else UUID(found["run_id"]),
            status=found["status"],
            outputs=found["outputs"],
            output=found["output"],
            error=found["error_message"],
            duration=timedelta(seconds=float(found["duration"])),
            graph=found["graph"],
        )

    @classmethod
    def refused(cls, goal: str | None, error: QuantumflowError) -> ExecutionResult:
        """What was refused before anything of it was kept."""
        return cls(goal, None, None, "failed", {}, None, error.message, timedelta(0), None)


class Waiting:
    """What is left to wait for of a goal, run by run."""

    def __init__(self, timeout: float | timedelta | None) -> None:
        seconds = _arguments.time_left("timeout", timeout)
        self._give_up = None if seconds is None else time.monotonic() + seconds
        self._seen: UUID | None = None
        self._pause = _PAUSE_FIRST

    @property
    def left(self) -> float | None:
        """How many seconds there are; None: as many as it takes."""
        return None if self._give_up is None else max(self._give_up - time.monotonic(), 0.0)

    @staticmethod
    def run_of(found: Mapping[str, Any]) -> UUID | None:
        """The run that is to be waited for: the goal's, or that which plans it; None: it ended."""
        if found["status"] not in ("decomposing", "running", "paused"):
            return None
        return UUID(found["run_id"] or found["plan_run_id"])

    def is_new(self, run_id: UUID) -> bool:
        """Whether this run was not waited for yet."""
        is_new = run_id != self._seen
        self._seen = run_id
        return is_new

    def pause(self, found: Mapping[str, Any]) -> float:
        """How many seconds to sleep: the run has ended, and somebody is to go on with the goal.

        Raises:
            WaitTimeout: There are none left.
        """
        if self.left == 0:
            assert self._seen is not None
            raise WaitTimeout(self._seen, found["status"])
        this = self._pause
        self._pause = min(self._pause * 2, _PAUSE_MOST)
        return this if self.left is None else min(this, self.left)
