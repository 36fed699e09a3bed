"""Connections of the caller's: psycopg's, or one of SQLAlchemy or Django around it.

A call on one of them is part of whatever transaction it is in, which stays the caller's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import psycopg

from .errors import BadArgument

if TYPE_CHECKING:
    Connection = psycopg.Connection[Any]
    AsyncConnection = psycopg.AsyncConnection[Any]


class OfSQLAlchemy(Protocol):
    """A Connection or Session of SQLAlchemy; asynchronous ones are for AsyncClient."""

    def scalars(self, statement: Any, /) -> Any:
        """What psycopg's connections have not."""


class OfDjango(Protocol):
    """`django.db.connection`, or one of `django.db.connections`."""

    def ensure_connection(self) -> Any:
        """Connect."""


Borrowed: TypeAlias = "psycopg.Connection[Any] | OfSQLAlchemy | OfDjango"
AsyncBorrowed: TypeAlias = "psycopg.AsyncConnection[Any] | OfSQLAlchemy"


def psycopg_of(connection: object) -> Connection:
    """The connection of psycopg that one is, or has inside.

    Raises:
        BadArgument: It has none, or an asynchronous one.
    """
    found: Any = connection
    packages = _packages_of(connection)
    if "django" in packages and hasattr(found, "ensure_connection"):
        found.ensure_connection()
        found = found.connection
    elif "sqlalchemy" in packages and hasattr(found, "connection") and not _is_async(found):
        if callable(found.connection):  # a Session
            found = found.connection()
        if not found.in_transaction():
            # As its own statements do; without, a commit of it would do nothing.
            found.begin()
        found = found.connection.driver_connection
    if isinstance(found, psycopg.Connection):
        return found
    raise _strange(connection, found, "Connection")


async def apsycopg_of(connection: object) -> AsyncConnection:
    """The same, asynchronous."""
    found: Any = connection
    if "sqlalchemy" in _packages_of(connection) and _is_async(found):
        if hasattr(found, "sync_session"):
            found = await found.connection()
        if not found.in_transaction():
            await found.begin()
        found = (await found.get_raw_connection()).driver_connection
    if isinstance(found, psycopg.AsyncConnection):
        return found
    raise _strange(connection, found, "AsyncConnection")


def _packages_of(thing: object) -> set[str]:
    return {kind.__module__.partition(".")[0] for kind in type(thing).__mro__}


def _is_async(connection: object) -> bool:
    return any(hasattr(connection, name) for name in ("sync_session", "sync_connection"))


def kind_of(thing: object) -> str:
    """What to call an object's class in an error."""
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"


_HINTS = {
    "sqlalchemy": "Its driver has to be psycopg: postgresql+psycopg://...; AsyncClient takes those "
    "of sqlalchemy.ext.asyncio, and Client the others.",
    "django": "Client takes it where psycopg is installed, and psycopg2 is not.",
    "psycopg": "Client takes psycopg.Connection, AsyncClient psycopg.AsyncConnection.",
    "psycopg2": "psycopg2 is another library than psycopg 3.",
    "asyncpg": "Of asyncpg, call the function: select quantumflow.start_flow(...).",
}


def _strange(connection: object, inside: object, expected: str) -> BadArgument:
    what = f"the connection is a {kind_of(connection)}"
    if inside is not connection:
        what += f", and inside a {kind_of(inside)}"
    hints = [_HINTS[name] for name in _HINTS if name in _packages_of(connection)]
    return BadArgument(f"{what}: it is a psycopg.{expected}", hint=hints[0] if hints else None)
