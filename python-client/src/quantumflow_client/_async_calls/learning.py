# Written by tools/async_calls.py from _calls/learning.py: change that, then `make calls`.
"""What is learned from runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from quantumflow_client import _sql

from .base import AsyncCalls, slug_of

if TYPE_CHECKING:
    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._sql.learning import Policy, Recommendation
    from quantumflow_client.flow import Flow

T = TypeVar("T")


class AsyncLearningCalls(AsyncCalls):
    """What is learned from runs."""

    async def recommendations(
        self,
        workflow_slug: str | Flow[Any, Any],
        level: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> list[Recommendation]:
        """What the past of a workflow says that its settings should be; nothing is changed.

        Args:
            workflow_slug: The workflow.
            level: "basic", "advanced" or "aggressive", which needs 100 completed runs.
            connection: As for `start_flow`.

        Raises:
            UnknownFlow: There is no such workflow.

        Calls quantumflow.recommendations.
        """
        return await self._run(
            _sql.learning.recommendations(slug_of(workflow_slug), level), connection
        )

    async def optimize(
        self,
        workflow_slug: str | Flow[Any, Any],
        level: str | None = None,
        *,
        apply: str = "trial",
        preserve_structure: bool | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> Policy | None:
        """Make a policy of what `recommendations` says, and try it on half of the new runs.

        Args:
            workflow_slug: The workflow.
            level: As for `recommendations`.
            apply: "propose" does nothing with it, "trial" adopts or rejects it by the times of
                pairs of runs, "adopt" does without a trial.
            preserve_structure: Steps, and what they wait for, stay as they are.
            connection: As for `start_flow`.

        Returns:
            The policy, or the one that is at work already; None where nothing is to be changed.

        Raises:
            UnknownFlow: There is no such workflow.

        Calls quantumflow.optimize_flow and quantumflow.policy_history.
        """
        slug = slug_of(workflow_slug)
        number = await self._run(
            _sql.learning.optimize_flow(slug, level, preserve_structure, apply), connection
        )
        found = (
            await self._run(_sql.learning.policy_history(slug), connection)
            if number is not None
            else []
        )
        return next((policy for policy in found if policy.number == number), None)

    async def rollback_policy(
        self,
        workflow_slug: str | Flow[Any, Any],
        reason: str | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> int:
        """End the policy that is tried or adopted: new runs have the settings from before.

        Args:
            workflow_slug: The workflow.
            reason: Why; kept in audit_log.
            connection: As for `start_flow`.

        Returns:
            The number of the policy.

        Calls quantumflow.rollback_policy.
        """
        return await self._run(
            _sql.learning.rollback_policy(slug_of(workflow_slug), reason), connection
        )

    async def policies(
        self, workflow_slug: str | Flow[Any, Any], *, connection: AsyncBorrowed | None = None
    ) -> list[Policy]:
        """What was proposed for a workflow, tried and adopted, and what came of it, oldest first.

        Args:
            workflow_slug: The workflow.
            connection: As for `start_flow`.

        Calls quantumflow.policy_history.
        """
        return await self._run(_sql.learning.policy_history(slug_of(workflow_slug)), connection)
