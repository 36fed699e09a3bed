"""What the driver asks of a system."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .server import Database, Pump, Server
    from .shapes import Shape

BATCH = 100

Failure = Callable[[bytes], bool]
"""Whether the task with this input is to fail now."""


class State(NamedTuple):
    """What a system's tables hold; `left` counts messages in queues and broken rules."""

    runs: int
    completed_runs: int
    tasks: int
    completed_tasks: int
    attempts: int
    left: int


class WrongError(Exception):
    """A run was not what it should be: a fast wrong run is a failed run."""


class System(ABC):
    """A system in one configuration.

    Attributes:
        name: The name in tables and figures; `pgflow` and `pgflow, as it comes` are two.
        schema: Where its state tables are.
        configuration: What was chosen, in a few words.
    """

    name: str
    schema: str
    configuration: str

    def template(self, server: Server) -> Database:
        """A database in which the system is installed, made once."""
        database, is_new = server.template(self.template_key)
        if is_new:
            self.install(database)
        return database

    @property
    def template_key(self) -> str:
        """The name of the template; configurations of one system share it."""
        return type(self).__name__.lower()

    @abstractmethod
    def install(self, database: Database) -> None:
        """Install the system into an empty database."""

    @abstractmethod
    def define(self, database: Database, shape: Shape) -> None:
        """Define a workflow."""

    @abstractmethod
    def start(self, pump: Pump, shape: Shape, inputs: Sequence[str]) -> None:
        """Start a run for each input, JSON texts, in the system's best batches."""

    @abstractmethod
    def work(self, pump: Pump, shape: Shape) -> int:
        """Take one batch of tasks and complete it; how many were completed."""

    @abstractmethod
    def state(self, database: Database) -> State:
        """Count what is there."""

    def ended(self, database: Database) -> tuple[int, int]:
        """How many runs are completed, and what is left: other runs, messages, broken rules."""
        state = self.state(database)
        return state.completed_runs, state.runs - state.completed_runs + state.left

    def check(self, database: Database, *, runs: int, tasks: int) -> None:
        """Raise WrongError unless so many runs with so many tasks were all done, each task once."""
        self.expect(database, State(runs, runs, tasks, tasks, tasks, 0))

    def expect(self, database: Database, expected: State) -> None:
        """Raise WrongError unless just this is there."""
        found = self.state(database)
        if found != expected:
            raise WrongError(f"{self.name}: {found} instead of {expected}")
