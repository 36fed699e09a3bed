"""The client for asynchronous applications: define and start workflows, and wait for runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _connections, _json
from ._arguments import patience, whole_number
from ._async_calls import AsyncClientCalls
from .client import CONNECTION_TIMEOUT, MAX_CONNECTIONS

if TYPE_CHECKING:
    from datetime import timedelta

    from psycopg_pool import AsyncConnectionPool
    from typing_extensions import Self

    from ._plain import Hook


class AsyncClient(AsyncClientCalls):
    """A client of one database: Client's methods, but those of a worker.

    Event loops may share it, one after the other or at once.
    """

    def __init__(
        self,
        source: str | AsyncConnectionPool[Any] | None = None,
        *,
        prepare_threshold: int | None = 5,
        max_connections: int = MAX_CONNECTIONS,
        connection_timeout: float | timedelta = CONNECTION_TIMEOUT,
        encode: Hook | None = None,
    ) -> None:
        """Describe a client; it opens nothing yet.

        Args:
            source: A DSN, or a psycopg_pool.AsyncConnectionPool; by default as for Client.
            prepare_threshold: As for Client.
            max_connections: As for Client.
            connection_timeout: As for Client.
            encode: As for Client.

        Raises:
            BadArgument: An argument is none of these.
        """
        self._connections = _connections.AsyncConnections(
            source,
            prepare_threshold=prepare_threshold,
            most=whole_number("max_connections", max_connections, least=1),
            wait=patience("connection_timeout", connection_timeout),
        )
        self._encode = _json.encode if encode is None else _json.Encoder(encode)

    async def __aenter__(self) -> Self:
        self._connections.reopen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the idle connections. A pool stays open: it is yours."""
        await self._connections.close()
