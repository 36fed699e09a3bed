"""Goals, as who gives them knows them: the client's calls, and what comes of a goal."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from . import _arguments, _json, _sql
from ._decomposers import Decomposer, decomposer_of
from .errors import (
    BadArgument,
    DecompositionFailed,
    QuantumflowError,
    RunCancelled,
    RunFailed,
    WaitTimeout,
)

if TYPE_CHECKING:
    from ._borrowed import Borrowed
    from ._json import Encoder, Json
    from ._sql.definitions import WorkflowVersion
    from ._sql.goals import GoalEvent, GoalSummary, Method

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


class GoalCalls:
    """What a client can do about goals."""

    _encode: Encoder

    if TYPE_CHECKING:

        def _run(self, call: Any, connection: Borrowed | None) -> Any: ...

        def wait(self, run_id: UUID, timeout: float | timedelta | None = None) -> Json: ...

        def start_flow(self, workflow_slug: str, input: Json = ...) -> UUID: ...  # noqa: A002

        def status(self, run_id: UUID) -> Any: ...

        def _working(self, steps: Steps, queues: Sequence[str]) -> Any: ...

        def command(self, name: str) -> Callable[[Any], Any]: ...

    _decomposers: dict[str, Decomposer]

    # Goals

    def start_goal(
        self,
        goal: str,
        decomposer: str,
        context: Mapping[str, Json] = NOTHING,
        options: Mapping[str, Json] = NOTHING,
        *,
        idempotency_key: str | None = None,
        connection: Borrowed | None = None,
    ) -> UUID:
        """Have a goal executed, and do not wait for it.

        Args:
            goal: What is to be done, in words.
            decomposer: What makes tasks of it: see `register_decomposer`.
            context: What else the decomposer and the tasks are to know.
            options: How it is to be done: `max_depth`, `priority`, `headers`, `cache`, and keys of
                a flow, `timeout` and `queue` for example.
            idempotency_key: The same key again, for the same decomposer, is the same goal.
            connection: As for `start_flow`.

        Returns:
            The goal's id: see `goal_status` and `wait_goal`.

        Raises:
            UnknownGoalType: No rule fits it.
            UnknownDecomposer: There is no such decomposer.
            GoalError: Something else about it is refused; see its subclasses.

        Calls quantumflow.execute_goal.
        """
        return self._begin(goal, decomposer, context, options, idempotency_key, True, connection)

    def _begin(
        self,
        goal: str,
        decomposer: str,
        context: Mapping[str, Json],
        options: Mapping[str, Json],
        idempotency_key: str | None,
        executes: bool,
        connection: Borrowed | None,
    ) -> UUID:
        call = _sql.goals.begin_goal(
            goal,
            decomposer,
            context,
            options,
            idempotency_key,
            executes=executes,
            encode=self._encode,
        )
        found: UUID = self._run(call, connection)
        return found

    def start_goals(
        self,
        goals: Sequence[Goal],
        decomposer: str,
        options: Mapping[str, Json] = NOTHING,
        *,
        connection: Borrowed | None = None,
    ) -> list[UUID]:
        """Have several goals executed, all begun in one transaction, and do not wait for them.

        Args:
            goals: Each a text, or an object of `goal`, `context`, `options`, `decomposer` and
                `idempotency_key`.
            decomposer: As for `start_goal`.
            options: As for `start_goal`.
            connection: As for `start_flow`.

        Returns:
            Their ids. One that cannot be decomposed has failed, and harms no other.

        Raises:
            UnknownDecomposer: There is no such decomposer.
            BadGoal: These are no goals, or the options are none.

        Calls quantumflow.execute_goals.
        """
        call = _sql.goals.execute_goals(goals, decomposer, options, self._encode)
        found: list[UUID] = self._run(call, connection)
        return found

    def execute_goal(
        self,
        goal: str,
        decomposer: str,
        context: Mapping[str, Json] = NOTHING,
        options: Mapping[str, Json] = NOTHING,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> ExecutionResult:
        """Have a goal executed, and wait until it has ended. Somebody else must work on it.

        Args:
            goal: As for `start_goal`.
            decomposer: As for `start_goal`.
            context: As for `start_goal`.
            options: As for `start_goal`.
            idempotency_key: As for `start_goal`.
            timeout: As for `wait`.

        Returns:
            What came of it, also where it failed.

        Raises:
            WaitTimeout: It had not ended in time.
            GoalError: As for `start_goal`.

        Calls quantumflow.execute_goal, goal_status, status.
        """
        goal_id = self._begin(goal, decomposer, context, options, idempotency_key, True, None)
        return self.wait_goal(goal_id, timeout)

    def execute_goals(
        self,
        goals: Sequence[Goal],
        decomposer: str,
        options: Mapping[str, Json] = NOTHING,
        *,
        timeout: float | timedelta | None = None,
    ) -> list[ExecutionResult]:
        """Have several goals executed, and wait until all have ended.

        Args:
            goals: As for `start_goals`.
            decomposer: As for `start_goal`.
            options: As for `start_goal`.
            timeout: As for `wait`, for each of them.

        Returns:
            What came of each.

        Raises:
            WaitTimeout: One had not ended in time.
            UnknownDecomposer, BadGoal: As for `start_goals`.

        Calls quantumflow.execute_goals, goal_status, status.
        """
        begun = self.start_goals(goals, decomposer, options)
        return [self.wait_goal(goal_id, timeout) for goal_id in begun]

    def decompose_goal(
        self,
        goal: str,
        decomposer: str,
        context: Mapping[str, Json] = NOTHING,
        options: Mapping[str, Json] = NOTHING,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> Json:
        """Have a goal decomposed, and wait for its graph; nothing of that is executed.

        Args:
            goal: As for `start_goal`.
            decomposer: As for `start_goal`.
            context: As for `start_goal`.
            options: As for `start_goal`.
            idempotency_key: As for `start_goal`.
            timeout: As for `wait`.

        Returns:
            The tasks, `{"tasks": [...]}`.

        Raises:
            DecompositionFailed: It has failed, or was cancelled.
            WaitTimeout: As for `wait`.
            GoalError: As for `start_goal`.

        Calls quantumflow.decompose_goal, goal_status, status.
        """
        goal_id = self._begin(goal, decomposer, context, options, idempotency_key, False, None)
        return self.wait_goal(goal_id, timeout).plan()

    def decompose(
        self,
        goal: str,
        decomposer: str,
        context: Mapping[str, Json] = NOTHING,
        *,
        connection: Borrowed | None = None,
    ) -> Json:
        """What rules make of a goal, at once; nothing is kept.

        Args:
            goal: As for `start_goal`.
            decomposer: As for `start_goal`.
            context: As for `start_goal`.
            connection: As for `start_flow`.

        Raises:
            NotAtOnce: A worker is to be asked.
            GoalError: As for `start_goal`.

        Calls quantumflow.decompose.
        """
        graph: Json = self._run(
            _sql.goals.decompose(goal, decomposer, context, self._encode), connection
        )
        return graph

    def wait_goal(self, goal_id: UUID, timeout: float | timedelta | None = None) -> ExecutionResult:
        """Wait until a goal has ended. Somebody else must work on it.

        Args:
            goal_id: The goal.
            timeout: As for `wait`.

        Returns:
            What came of it, also where it failed or was cancelled.

        Raises:
            WaitTimeout: It had not ended in time.
            UnknownGoal: There is no such goal.

        Calls quantumflow.goal_status, status.
        """
        waiting = Waiting(timeout)
        while (run_id := waiting.run_of(found := self.goal_status(goal_id))) is not None:
            if waiting.is_new(run_id):
                with suppress(RunFailed, RunCancelled):
                    self.wait(run_id, waiting.left)
            else:
                time.sleep(waiting.pause(found))
        return ExecutionResult.of(found)

    def goal_status(self, goal_id: UUID, *, connection: Borrowed | None = None) -> dict[str, Any]:
        """How a goal is doing and what came of it.

        Args:
            goal_id: The goal.
            connection: As for `start_flow`.

        Raises:
            UnknownGoal: There is no such goal.

        Calls quantumflow.goal_status.
        """
        found: dict[str, Any] = self._run(_sql.goals.goal_status(goal_id), connection)
        return found

    def goals(
        self,
        status: str | None = None,
        max_goals: int = 100,
        *,
        connection: Borrowed | None = None,
    ) -> list[GoalSummary]:
        """The latest goals, newest first.

        Args:
            status: Only those that are this.
            max_goals: How many at most.
            connection: As for `start_flow`.

        Raises:
            UnknownStatus, BadPageSize: An argument is none.

        Calls quantumflow.list_goals.
        """
        found: list[GoalSummary] = self._run(_sql.goals.list_goals(status, max_goals), connection)
        return found

    def cancel_goal(
        self, goal_id: UUID, reason: str | None = None, *, connection: Borrowed | None = None
    ) -> None:
        """Cancel a goal, in whatever phase it is. To cancel it again changes nothing.

        Args:
            goal_id: The goal.
            reason: Why.
            connection: As for `start_flow`.

        Raises:
            UnknownGoal: There is no such goal.
            RunHasEnded, GoalNotRunning: It has ended, or has no run.

        Calls quantumflow.cancel_goal.
        """
        self._run(_sql.goals.cancel_goal(goal_id, reason), connection)

    # What decomposes them

    def register_decomposer(
        self,
        name: str,
        kind: str = "rules",
        *,
        command: str | None = None,
        version: str = "1",
        may_use: Sequence[str] | None = None,
        max_depth: int | None = None,
        timeout: timedelta | None = None,
        cache_for: timedelta | None = None,
        fallback: str | None = None,
        connection: Borrowed | None = None,
    ) -> None:
        """Say what makes tasks of goals; one of that name is changed.

        Args:
            name: Its name.
            kind: "rules", which `add_method` adds, or "command", a handler of a worker.
            command: The handler's command.
            version: Of its prompt or code: what another version has made is not used again.
            may_use: The commands that its tasks may have; None, of rules: any.
            max_depth: How deep goals may be nested in tasks.
            timeout: How long it may take.
            cache_for: How long what it made serves the same goal and context again.
            fallback: Another decomposer, which is asked for goals that no rule fits.
            connection: As for `start_flow`.

        Raises:
            BadGoal: An argument is none of these.
            UnknownDecomposer: The fallback is unknown.

        Calls quantumflow.register_decomposer.
        """
        call = _sql.goals.register_decomposer(
            name,
            kind,
            command=command,
            version=version,
            may_use=may_use,
            max_depth=max_depth,
            timeout=timeout,
            cache_for=cache_for,
            fallback=fallback,
        )
        self._run(call, connection)

    def decomposer(
        self,
        name: str,
        *,
        may_use: Sequence[str],
        version: str = "1",
        max_depth: int | None = None,
        timeout: timedelta | None = None,
        cache_for: timedelta | None = None,
    ) -> Callable[[F], F]:
        """Let a function make tasks of goals: a decorator.

        @client.decomposer("shop", may_use=["pick", "mail"])
        def shop(goal, problems):
            return [{"id": "pick"}, {"id": "mail", "depends_on": ["pick"]}]

        It asks by name for `goal`, `context`, `args`, `depth`, `commands` (what it may use, with
        what `describe_command` says) and `problems` (what was wrong with what it returned last);
        and returns a graph of tasks. It is a handler of the command of its name, which a worker
        serves, and registered by `deploy_decomposers`.

        Args:
            name: The decomposer's name.
            may_use: As for `register_decomposer`.
            version: As for `register_decomposer`.
            max_depth: As for `register_decomposer`.
            timeout: As for `register_decomposer`.
            cache_for: As for `register_decomposer`.

        Raises:
            TypeError: It asks for something else.
            ValueError: The command has another handler.
        """

        def register(function: F) -> F:
            made = decomposer_of(
                function,
                name,
                may_use=_arguments.names("may_use", may_use),
                version=version,
                max_depth=max_depth,
                timeout=timeout,
                cache_for=cache_for,
            )
            self.command(name)(made.handler)
            self._decomposers[name] = made
            return function

        return register

    def deploy_decomposers(self, *, connection: Borrowed | None = None) -> list[str]:
        """Register the decomposers that are functions here, in the database.

        Args:
            connection: As for `start_flow`.

        Returns:
            Their names.

        Raises:
            BadGoal: One cannot be that.

        Calls quantumflow.register_decomposer.
        """
        for name, made in self._decomposers.items():
            self.register_decomposer(
                name, "command", command=name, **made.options, connection=connection
            )
        return list(self._decomposers)

    def add_method(
        self,
        decomposer: str,
        graph: Json,
        *,
        pattern: str | None = None,
        condition: str | None = None,
        task: str | None = None,
        number: int | None = None,
        connection: Borrowed | None = None,
    ) -> int:
        """Add a rule to a decomposer; the same again changes nothing.

        Args:
            decomposer: The decomposer, of kind "rules".
            graph: The tasks. One with a `goal`, or a command that is the `task` of a rule, is
                decomposed in turn.
            pattern: A regular expression that the goal matches; None: any goal.
            condition: A jsonpath predicate over `goal`, `context`, `args` and `match`.
            task: The rule is for tasks of this command, not for goals.
            number: Which rule it is; None: the last.
            connection: As for `start_flow`.

        Returns:
            Which rule it is.

        Raises:
            BadGoal, UnknownDecomposer: It cannot be a rule.
            BadGraph, GoalError, DefinitionError: The graph is none; `detail` lists every problem.

        Calls quantumflow.add_method.
        """
        call = _sql.goals.add_method(
            decomposer,
            graph,
            pattern=pattern,
            condition=condition,
            task=task,
            number=number,
            encode=self._encode,
        )
        found: int = self._run(call, connection)
        return found

    def methods(
        self, decomposer: str | None = None, *, connection: Borrowed | None = None
    ) -> list[Method]:
        """The rules of a decomposer, or of all, in the order in which they are tried.

        Args:
            decomposer: The decomposer.
            connection: As for `start_flow`.

        Raises:
            UnknownDecomposer: There is no such decomposer.

        Calls quantumflow.list_methods.
        """
        found: list[Method] = self._run(_sql.goals.list_methods(decomposer), connection)
        return found

    def describe_command(
        self,
        command: str,
        description: str,
        args_schema: Mapping[str, Json] | None = None,
        *,
        connection: Borrowed | None = None,
    ) -> None:
        """Say what a command does and what args it takes, to planners.

        Args:
            command: The command.
            description: What it does.
            args_schema: A JSON Schema that args keep to.
            connection: As for `start_flow`.

        Raises:
            BadGoal: The schema has words that are not known.

        Calls quantumflow.describe_command.
        """
        self._run(_sql.goals.describe_command(command, description, args_schema), connection)

    def configure_orchestrator(
        self, settings: Mapping[str, Json] = NOTHING, *, connection: Borrowed | None = None
    ) -> dict[str, Any]:
        """Set how goals are decomposed and told of, for everybody.

        Args:
            settings: `max_depth`, `timeout` in milliseconds, `optimization`, `notifications`.
            connection: As for `start_flow`.

        Returns:
            All of it as it is then.

        Raises:
            UnknownSetting, BadSettingValue: It is none.

        Calls quantumflow.configure_orchestrator.
        """
        found: dict[str, Any] = self._run(_sql.goals.configure_orchestrator(settings), connection)
        return found

    def recent_events(
        self,
        kinds: Sequence[str] | None = None,
        run_id: UUID | None = None,
        since: datetime | None = None,
        max_events: int = 100,
        *,
        connection: Borrowed | None = None,
    ) -> list[GoalEvent]:
        """What happened to goals, runs and tasks, the latest first.

        Args:
            kinds: Only these: "execution_failed", for example.
            run_id: Only of this run.
            since: Not before then.
            max_events: How many at most.
            connection: As for `start_flow`.

        Raises:
            UnknownStatus, BadPageSize: An argument is none.

        Calls quantumflow.recent_events.
        """
        call = _sql.goals.recent_events(kinds, run_id, since, max_events)
        found: list[GoalEvent] = self._run(call, connection)
        return found

    # Composing

    def create_workflow(
        self,
        graph: Json,
        steps: Steps | None = None,
        options: Mapping[str, Json] = NOTHING,
        *,
        workflow_slug: str | None = None,
        connection: Borrowed | None = None,
    ) -> WorkflowVersion:
        """Define a workflow of a graph of tasks.

        Args:
            graph: `{"tasks": [...]}`, or a list of tasks.
            steps: The functions that there are, by command: a task for which there is none is
                refused. None: any command may be.
            options: Keys of a flow, `may_use`, and `decomposer`, whose rules decompose tasks that
                are goals.
            workflow_slug: The workflow; None: a name that is made of the graph.
            connection: As for `start_flow`.

        Raises:
            CommandNotAllowed: A task has no function.
            BadGraph, GoalError, DefinitionError: It is no graph; `detail` lists every problem.

        Calls quantumflow.create_flow_from_graph.
        """
        options = _arguments.mapping("options", options)
        if steps is not None:
            options = {**options, "may_use": list(_arguments.mapping("steps", steps))}
        call = _sql.goals.create_flow_from_graph(
            graph, _arguments.text("workflow_slug", workflow_slug), options, self._encode
        )
        found: WorkflowVersion = self._run(call, connection)
        return found

    def compose_from_task_graph(
        self,
        graph: Json,
        steps: Steps | None = None,
        *,
        input: Json = NOTHING,  # noqa: A002
        options: Mapping[str, Json] = NOTHING,
        timeout: float | timedelta | None = None,
    ) -> ExecutionResult:
        """Make a workflow of a graph of tasks, run it, and wait until it has ended.

        Args:
            graph: As for `create_workflow`.
            steps: The functions for the tasks, by command, which are called here; None: somebody
                else works.
            input: What the run is started with.
            options: As for `create_workflow`.
            timeout: As for `wait`.

        Returns:
            What came of it, also where it was refused, or failed.

        Raises:
            WaitTimeout: It had not ended in time.

        Calls quantumflow.create_flow_from_graph, start_flow, status, step_output.
        """
        try:
            made = self.create_workflow(graph, steps, options)
        except QuantumflowError as error:
            return ExecutionResult.refused(None, error)
        with self._serving(steps, options):
            run_id = self.start_flow(made.workflow_slug, input)
            with suppress(RunFailed, RunCancelled):
                self.wait(run_id, timeout)
        return self._result_of_run(run_id, graph)

    def _result_of_run(self, run_id: UUID, graph: Json) -> ExecutionResult:
        run = self.status(run_id)
        done = [step["step_slug"] for step in run["steps"] if step["status"] == "completed"]
        began, ended = (datetime.fromisoformat(run[key]) for key in ("created_at", "ended_at"))
        return ExecutionResult(
            goal=None,
            goal_id=None,
            run_id=run_id,
            status=run["status"],
            outputs={step: self._output(run_id, step) for step in done},
            output=run["output"],
            error=run["error_message"],
            duration=ended - began,
            graph=graph,
        )

    def _output(self, run_id: UUID, step: str) -> Json:
        text_ = self._run(_sql.tasks.step_output(run_id, step), None)
        return None if text_ is None else _json.decode(text_)

    def compose_from_goal(
        self,
        goal: str,
        decomposer: str | Callable[..., Any],
        steps: Steps | None = None,
        *,
        context: Mapping[str, Json] = NOTHING,
        options: Mapping[str, Json] = NOTHING,
        timeout: float | timedelta | None = None,
    ) -> ExecutionResult:
        """Have a goal decomposed, its tasks done, and wait until it has ended.

        Args:
            goal: As for `start_goal`.
            decomposer: The name of a decomposer; or a function of the goal that returns tasks,
                which is registered by its name, is called here, and may use the steps.
            steps: As for `compose_from_task_graph`.
            context: As for `start_goal`.
            options: As for `start_goal`.
            timeout: As for `wait`.

        Returns:
            What came of it, also where it could not be decomposed, or failed.

        Raises:
            WaitTimeout: It had not ended in time.

        Calls quantumflow.execute_goal, goal_status, status.
        """
        name, steps = self._named(decomposer, steps)
        with self._serving(steps, options):
            try:
                return self.execute_goal(goal, name, context, options, timeout=timeout)
            except (RunFailed, RunCancelled):
                raise
            except QuantumflowError as error:
                if error.sqlstate is None:
                    raise
                return ExecutionResult.refused(goal, error)

    def compose_multiple_workflows(
        self,
        goals: Sequence[Goal],
        decomposer: str | Callable[..., Any],
        steps: Steps | None = None,
        *,
        options: Mapping[str, Json] = NOTHING,
        timeout: float | timedelta | None = None,
    ) -> list[ExecutionResult]:
        """Have several goals decomposed and done at once, and wait until all have ended.

        Args:
            goals: As for `start_goals`.
            decomposer: As for `compose_from_goal`.
            steps: As for `compose_from_task_graph`.
            options: As for `start_goal`.
            timeout: As for `wait`, for each of them.

        Returns:
            What came of each, in their order: one that fails hides no other.

        Raises:
            WaitTimeout: One had not ended in time.
            UnknownDecomposer, BadGoal: As for `start_goals`.

        Calls quantumflow.execute_goals, goal_status, status.
        """
        name, steps = self._named(decomposer, steps)
        with self._serving(steps, options):
            return self.execute_goals(goals, name, options, timeout=timeout)

    def _named(
        self, decomposer: str | Callable[..., Any], steps: Steps | None
    ) -> tuple[str, Steps | None]:
        """The name of a decomposer, and the functions that are called here, its own with them."""
        if not callable(decomposer):
            return decomposer, steps
        given = _arguments.mapping("steps", steps or {})
        name = re.sub(r"\W", "_", getattr(decomposer, "__name__", "decomposer")).strip("_")
        made = decomposer_of(decomposer, name or "decomposer", may_use=list(given))
        self.register_decomposer(made.name, "command", command=made.name, **made.options)
        return made.name, {**given, made.name: made.handler}

    @contextmanager
    def _serving(self, steps: Steps | None, options: Mapping[str, Any]) -> Iterator[None]:
        """Meanwhile, a worker here that calls these functions, if there are some."""
        for command, function in _arguments.mapping("steps", steps or {}).items():
            if not callable(function):
                raise BadArgument(f"steps has {function!r} for {command!r}: it is a function")
        if not steps:
            yield
            return
        queue = _arguments.mapping("options", options).get("queue", _sql.DEFAULT_QUEUE)
        worker = self._working(steps, [queue])
        thread = threading.Thread(target=worker.run, name="quantumflow-steps", daemon=True)
        thread.start()
        try:
            yield
        finally:
            worker.stop()
            thread.join()
