# Written by tools/async_calls.py from _calls/limits.py: change that, then `make calls`.
"""How much of something may be done at once, or in a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from quantumflow_client import _sql

from .base import AsyncCalls

if TYPE_CHECKING:
    from quantumflow_client._borrowed import AsyncBorrowed
    from quantumflow_client._sql.limits import Limit

T = TypeVar("T")


class AsyncLimitCalls(AsyncCalls):
    """How much of something may be done at once, or in a second."""

    async def set_limit(
        self,
        limit_name: str,
        at_once: int | None = None,
        per_second: float | None = None,
        *,
        connection: AsyncBorrowed | None = None,
    ) -> None:
        """Set a limit, which steps name in `limit`. Each key has it for itself.

        client.set_limit("openai", at_once=2)

        Args:
            limit_name: Its name.
            at_once: How many tasks of a key may be with workers at once, 0 to 10,000; None: any
                number.
            per_second: How many of a key may begin in a second, evenly; None: any number.
            connection: As for `start_flow`.

        Raises:
            BadLimit: A bad name or number, or neither number.

        Calls quantumflow.set_limit.
        """
        await self._run(_sql.limits.set_limit(limit_name, at_once, per_second), connection)

    async def remove_limit(
        self, limit_name: str, *, connection: AsyncBorrowed | None = None
    ) -> bool:
        """Remove a limit: what it held back is let go. The steps that name it stay as they are.

        Args:
            limit_name: Its name.
            connection: As for `start_flow`.

        Returns:
            Whether there was one.

        Calls quantumflow.remove_limit.
        """
        return await self._run(_sql.limits.remove_limit(limit_name), connection)

    async def limits(self, *, connection: AsyncBorrowed | None = None) -> list[Limit]:
        """The limits, a row for each key of which tasks run or wait.

        Args:
            connection: As for `start_flow`.

        Calls quantumflow.list_limits.
        """
        return await self._run(_sql.limits.list_limits(), connection)
