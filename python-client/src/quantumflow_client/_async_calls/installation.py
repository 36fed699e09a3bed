# Written by tools/async_calls.py from _calls/installation.py: change that, then `make calls`.
"""The state of the database: checked, and mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from quantumflow_client import _sql

from .base import AsyncCalls

if TYPE_CHECKING:
    from uuid import UUID

    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._sql.installation import StateProblem, StateRepair

T = TypeVar("T")


class AsyncInstallationCalls(AsyncCalls):
    """The state of the database: checked, and mended."""

    async def check(
        self, run_id: UUID | None = None, *, connection: AsyncBorrowed | None = None
    ) -> list[StateProblem]:
        """Find what breaks the rules that are always true: nothing, if all is well.

        Args:
            run_id: Look at this run only.
            connection: As for `start_flow`.

        Calls quantumflow.check_state.
        """
        return await self._run(_sql.installation.check_state(run_id), connection)

    async def repair(
        self, *, dry_run: bool = True, connection: AsyncBorrowed | None = None
    ) -> list[StateRepair]:
        """Mend what `check` finds, as far as that takes no decision.

        Args:
            dry_run: Change nothing, but say what would be done.
            connection: As for `start_flow`.

        Returns:
            Each problem, and what was done about it.

        Calls quantumflow.repair.
        """
        return await self._run(_sql.installation.repair(dry_run=dry_run), connection)

    async def rebuild_queues(self, *, connection: AsyncBorrowed | None = None) -> dict[str, int]:
        """Make the queues anew from the tasks, after a restore. Stop the workers first.

        Args:
            connection: As for `start_flow`.

        Returns:
            How many messages each queue has.

        Raises:
            QueuesInUse: Others hold tasks, runs or messages.

        Calls quantumflow.rebuild_queues.
        """
        return await self._run(_sql.installation.rebuild_queues(), connection)

    async def adopt(self, *, connection: AsyncBorrowed | None = None) -> str:
        """Declare that the runs of this database, a copy, go on here, and not in its original.

        Args:
            connection: As for `start_flow`.

        Returns:
            The database's identity.

        Calls quantumflow.adopt.
        """
        return await self._run(_sql.installation.adopt(), connection)
