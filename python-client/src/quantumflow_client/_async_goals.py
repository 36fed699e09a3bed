"""Goals, for asynchronous applications: Client's calls about them, but those that work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from . import _sql
from ._arguments import text
from ._goals import NOTHING, ExecutionResult, Goal, Waiting
from .errors import RunCancelled, RunFailed

if TYPE_CHECKING:
    from ._borrowed import AsyncBorrowed
    from ._json import Encoder, Json
    from ._sql.definitions import WorkflowVersion
    from ._sql.goals import GoalEvent, GoalSummary, Method


class AsyncGoalCalls:
    """What an asynchronous client can do about goals."""

    _encode: Encoder

    if TYPE_CHECKING:

        async def _run(self, call: Any, connection: AsyncBorrowed | None) -> Any: ...

        async def wait(self, run_id: UUID, timeout: float | timedelta | None = None) -> Json: ...

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
        """Have a goal executed, and do not wait for it; see Client.start_goal.

        Calls quantumflow.execute_goal.
        """
        call = _sql.goals.begin_goal(
            goal,
            decomposer,
            context,
            options,
            idempotency_key,
            executes=True,
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
        """Have several goals executed, and do not wait for them; see Client.start_goals.

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
        """Have a goal executed, and wait until it has ended; see Client.execute_goal.

        Calls quantumflow.execute_goal, goal_status, status.
        """
        goal_id = await self.start_goal(
            goal, decomposer, context, options, idempotency_key=idempotency_key
        )
        return await self.wait_goal(goal_id, timeout)

    async def execute_goals(
        self,
        goals: Sequence[Goal],
        decomposer: str,
        options: Mapping[str, Json] = NOTHING,
        *,
        timeout: float | timedelta | None = None,
    ) -> list[ExecutionResult]:
        """Have several goals executed, and wait until all have ended; see Client.execute_goals.

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
        """Have a goal decomposed, and wait for its graph; see Client.decompose_goal.

        Calls quantumflow.decompose_goal, goal_status, status.
        """
        call = _sql.goals.begin_goal(
            goal,
            decomposer,
            context,
            options,
            idempotency_key,
            executes=False,
            encode=self._encode,
        )
        goal_id: UUID = await self._run(call, None)
        return (await self.wait_goal(goal_id, timeout)).plan()

    async def decompose(
        self,
        goal: str,
        decomposer: str,
        context: Mapping[str, Json] = NOTHING,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> Json:
        """What rules make of a goal, at once; see Client.decompose.

        Calls quantumflow.decompose.
        """
        call = _sql.goals.decompose(goal, decomposer, context, self._encode)
        graph: Json = await self._run(call, connection)
        return graph

    async def wait_goal(
        self, goal_id: UUID, timeout: float | timedelta | None = None
    ) -> ExecutionResult:
        """Wait until a goal has ended; see Client.wait_goal.

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
        """How a goal is doing and what came of it; see Client.goal_status.

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
        """The latest goals, newest first; see Client.goals.

        Calls quantumflow.list_goals.
        """
        found: list[GoalSummary] = await self._run(
            _sql.goals.list_goals(status, max_goals), connection
        )
        return found

    async def cancel_goal(
        self,
        goal_id: UUID,
        reason: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> None:
        """Cancel a goal, in whatever phase it is; see Client.cancel_goal.

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
        """Say what makes tasks of goals; see Client.register_decomposer.

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
        """Add a rule to a decomposer; see Client.add_method.

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
        """The rules of a decomposer, or of all; see Client.methods.

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
        """Say what a command does and what args it takes; see Client.describe_command.

        Calls quantumflow.describe_command.
        """
        await self._run(_sql.goals.describe_command(command, description, args_schema), connection)

    async def configure_orchestrator(
        self, settings: Mapping[str, Json] = NOTHING, *, connection: AsyncBorrowed | None = None
    ) -> dict[str, Any]:
        """Set how goals are decomposed and told of; see Client.configure_orchestrator.

        Calls quantumflow.configure_orchestrator.
        """
        call = _sql.goals.configure_orchestrator(settings)
        found: dict[str, Any] = await self._run(call, connection)
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
        """What happened to goals, runs and tasks, the latest first; see Client.recent_events.

        Calls quantumflow.recent_events.
        """
        call = _sql.goals.recent_events(kinds, run_id, since, max_events)
        found: list[GoalEvent] = await self._run(call, connection)
        return found

    async def create_workflow(
        self,
        graph: Json,
        options: Mapping[str, Json] = NOTHING,
        *,
        workflow_slug: str | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> WorkflowVersion:
        """Define a workflow of a graph of tasks; see Client.create_workflow.

        Calls quantumflow.create_flow_from_graph.
        """
        call = _sql.goals.create_flow_from_graph(
            graph, text("workflow_slug", workflow_slug), options, self._encode
        )
        found: WorkflowVersion = await self._run(call, connection)
        return found
