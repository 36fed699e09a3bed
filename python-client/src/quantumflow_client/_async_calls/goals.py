# Written by tools/async_calls.py from _calls/goals.py: change that, then `make calls`.
"""Goals, and what makes tasks of them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from quantumflow_client import _arguments, _sql
from quantumflow_client._goals import NOTHING, ExecutionResult, Goal, Steps, Waiting
from quantumflow_client._sql.definitions import WorkflowVersion
from quantumflow_client._sql.goals import GoalEvent
from quantumflow_client.errors import (
    RunCancelled,
    RunFailed,
)

from .runs import AsyncRunCalls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._json import Json
    from quantumflow_client._sql.definitions import WorkflowVersion
    from quantumflow_client._sql.goals import GoalEvent, GoalSummary, Method

T = TypeVar("T")


class AsyncGoalCalls(AsyncRunCalls):
    """Goals, and what makes tasks of them."""

    async def start_goal(
        self,
        goal: str,
        decomposer: str,
        context: Mapping[str, Json] = NOTHING,
        options: Mapping[str, Json] = NOTHING,
        *,
        idempotency_key: str | None = None,
        connection: AsyncBorrowed | None = None,
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
        return await self._begin(
            goal, decomposer, context, options, idempotency_key, True, connection
        )

    async def _begin(
        self,
        goal: str,
        decomposer: str,
        context: Mapping[str, Json],
        options: Mapping[str, Json],
        idempotency_key: str | None,
        executes: bool,
        connection: AsyncBorrowed | None,
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
        found: UUID = await self._run(call, connection)
        return found

    async def start_goals(
        self,
        goals: Sequence[Goal],
        decomposer: str,
        options: Mapping[str, Json] = NOTHING,
        *,
        connection: AsyncBorrowed | None = None,
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
        found: list[UUID] = await self._run(call, connection)
        return found

    async def execute_goal(
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
        goal_id = await self._begin(goal, decomposer, context, options, idempotency_key, True, None)
        return await self.wait_goal(goal_id, timeout)

    async def execute_goals(
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
        begun = await self.start_goals(goals, decomposer, options)
        return [await self.wait_goal(goal_id, timeout) for goal_id in begun]

    async def decompose_goal(
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
        goal_id = await self._begin(
            goal, decomposer, context, options, idempotency_key, False, None
        )
        return (await self.wait_goal(goal_id, timeout)).plan()

    async def decompose(
        self,
        goal: str,
        decomposer: str,
        context: Mapping[str, Json] = NOTHING,
        *,
        connection: AsyncBorrowed | None = None,
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
        graph: Json = await self._run(
            _sql.goals.decompose(goal, decomposer, context, self._encode), connection
        )
        return graph

    async def wait_goal(
        self, goal_id: UUID, timeout: float | timedelta | None = None
    ) -> ExecutionResult:
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
        while (run_id := waiting.run_of(found := await self.goal_status(goal_id))) is not None:
            if waiting.is_new(run_id):
                with suppress(RunFailed, RunCancelled):
                    await self.wait(run_id, waiting.left)
            else:
                await asyncio.sleep(waiting.pause(found))
        return ExecutionResult.of(found)

    async def goal_status(
        self, goal_id: UUID, *, connection: AsyncBorrowed | None = None
    ) -> dict[str, Any]:
        """How a goal is doing and what came of it.

        Args:
            goal_id: The goal.
            connection: As for `start_flow`.

        Raises:
            UnknownGoal: There is no such goal.

        Calls quantumflow.goal_status.
        """
        found: dict[str, Any] = await self._run(_sql.goals.goal_status(goal_id), connection)
        return found

    async def goals(
        self,
        status: str | None = None,
        max_goals: int = 100,
        *,
        connection: AsyncBorrowed | None = None,
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
        found: list[GoalSummary] = await self._run(
            _sql.goals.list_goals(status, max_goals), connection
        )
        return found

    async def cancel_goal(
        self, goal_id: UUID, reason: str | None = None, *, connection: AsyncBorrowed | None = None
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
        await self._run(_sql.goals.cancel_goal(goal_id, reason), connection)

    async def register_decomposer(
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
        connection: AsyncBorrowed | None = None,
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
        await self._run(call, connection)

    async def add_method(
        self,
        decomposer: str,
        graph: Json,
        *,
        pattern: str | None = None,
        condition: str | None = None,
        task: str | None = None,
        number: int | None = None,
        connection: AsyncBorrowed | None = None,
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
        found: int = await self._run(call, connection)
        return found

    async def methods(
        self, decomposer: str | None = None, *, connection: AsyncBorrowed | None = None
    ) -> list[Method]:
        """The rules of a decomposer, or of all, in the order in which they are tried.

        Args:
            decomposer: The decomposer.
            connection: As for `start_flow`.

        Raises:
            UnknownDecomposer: There is no such decomposer.

        Calls quantumflow.list_methods.
        """
        found: list[Method] = await self._run(_sql.goals.list_methods(decomposer), connection)
        return found

    async def describe_command(
        self,
        command: str,
        description: str,
        args_schema: Mapping[str, Json] | None = None,
        *,
        connection: AsyncBorrowed | None = None,
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
        await self._run(_sql.goals.describe_command(command, description, args_schema), connection)

    async def configure_orchestrator(
        self, settings: Mapping[str, Json] = NOTHING, *, connection: AsyncBorrowed | None = None
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
        found: dict[str, Any] = await self._run(
            _sql.goals.configure_orchestrator(settings), connection
        )
        return found

    async def recent_events(
        self,
        kinds: Sequence[str] | None = None,
        run_id: UUID | None = None,
        since: datetime | None = None,
        max_events: int = 100,
        *,
        connection: AsyncBorrowed | None = None,
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
        found: list[GoalEvent] = await self._run(call, connection)
        return found

    async def create_workflow(
        self,
        graph: Json,
        steps: Steps | None = None,
        options: Mapping[str, Json] = NOTHING,
        *,
        workflow_slug: str | None = None,
        connection: AsyncBorrowed | None = None,
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
        found: WorkflowVersion = await self._run(call, connection)
        return found
