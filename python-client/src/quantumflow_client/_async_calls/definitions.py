# Written by tools/async_calls.py from _calls/definitions.py: change that, then `make calls`.
"""Workflows: defined, compared, their conditions tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from quantumflow_client import _sql
from quantumflow_client._sql.definitions import WorkflowVersion

from .base import AsyncCalls, definition_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._json import Json
    from quantumflow_client._sql.definitions import ConditionAnswer, WorkflowVersion
    from quantumflow_client._sql.looking import (
        Difference,
    )
    from quantumflow_client.flow import Flow

T = TypeVar("T")


class AsyncDefinitionCalls(AsyncCalls):
    """Workflows: defined, compared, their conditions tried."""

    async def deploy(
        self,
        flow: Flow | Mapping[str, Json],
        workflow_slug: str | None = None,
        *,
        rollback: bool = False,
        connection: AsyncBorrowed | None = None,
    ) -> WorkflowVersion:
        """Define a workflow.

        Args:
            flow: A Flow, or a definition.
            workflow_slug: The workflow, if the definition has no slug.
            rollback: Whether a version that was defined before the current one becomes current
                again. A program that deploys whenever it starts leaves that alone: an old one may
                start beside a new one.
            connection: As for `start_flow`.

        Returns:
            The version of this content, which is a new one only if the content is new; and which
            one is current.

        Raises:
            DefinitionError: The definition is wrong; `detail` lists every problem.

        Calls quantumflow.define_flow and, without rollback, quantumflow.list_flows.
        """
        version = await self._run(
            _sql.definitions.define_flow(
                definition_of(flow), workflow_slug, rollback=rollback, encode=self._encode
            ),
            connection,
        )
        return (
            version
            if rollback
            else version.beside(await self._run(_sql.definitions.list_flows(), connection))
        )

    async def test_condition(
        self,
        workflow_slug: str,
        step_slug: str,
        input: Json,  # noqa: A002
        *,
        status: Mapping[str, str] | None = None,
        version: int | None = None,
        connection: AsyncBorrowed | None = None,
    ) -> ConditionAnswer:
        """Ask a step's condition of an input, and see what each of its paths finds there.

        Args:
            workflow_slug: The workflow.
            step_slug: The step.
            input: As the step is given it: an object with `run` and each dependency that completed.
            status: What became of dependencies, by name: completed, skipped or failed. Of others,
                completed if the input has them, or they are only waited for, and skipped otherwise.
            version: The current one unless told otherwise.
            connection: As for `start_flow`.

        Raises:
            StepNotInFlow: The workflow has no such step.
            InvalidDefinition: A status is none, or of no dependency.

        Calls quantumflow.test_condition.
        """
        return await self._run(
            _sql.definitions.test_condition(
                workflow_slug,
                step_slug,
                input,
                status=status or {},
                version=version,
                encode=self._encode,
            ),
            connection,
        )

    async def diff(
        self,
        workflow_slug: str,
        from_version: int,
        to_version: int,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> list[Difference]:
        """What differs between two versions of a workflow.

        Args:
            workflow_slug: The workflow.
            from_version: The version that it differs from.
            to_version: The version that differs.
            connection: As for `start_flow`.

        Raises:
            UnknownWorkflow: There is no such workflow, or no such version.

        Calls quantumflow.diff_flow.
        """
        return await self._run(
            _sql.looking.diff_flow(workflow_slug, from_version, to_version), connection
        )
