"""A call of a database function as a value: SQL text, parameters, and how to read the answer.

Building a call does no I/O. `on` carries it out on a connection, `aon` on an asynchronous one.
Whatever transaction the connection is in stays the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import psycopg
from psycopg.rows import TupleRow, tuple_row

from .errors import translate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import LiteralString

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a function of schema quantumflow.

    Attributes:
        statement: The SQL text, with named placeholders.
        read: Makes the result of the rows that come back.
        params: A value for each placeholder.
        is_repeatable: Whether to call it twice is the same as to call it once.
    """

    statement: LiteralString
    read: Callable[[Sequence[TupleRow]], T]
    params: Mapping[str, object] = field(default_factory=dict)
    is_repeatable: bool = False

    def on(self, connection: psycopg.Connection[Any]) -> T:
        """Carry the call out.

        Raises:
            QuantumflowError: The database refused it with one of quantumflow's codes, or has no
                quantumflow.
            psycopg.Error: Anything else.
        """
        # A cursor of our own: the connection's factories are the user's, and may speak other
        # placeholders.
        cursor = psycopg.Cursor(connection, row_factory=tuple_row)
        try:
            rows = cursor.execute(self.statement, self.params).fetchall()
        except psycopg.Error as error:
            if (ours := translate(error)) is None:
                raise
            raise ours from error
        return self.read(rows)

    async def aon(self, connection: psycopg.AsyncConnection[Any]) -> T:
        """Carry the call out on an asynchronous connection; see `on`."""
        cursor = psycopg.AsyncCursor(connection, row_factory=tuple_row)
        try:
            await cursor.execute(self.statement, self.params)
            rows = await cursor.fetchall()
        except psycopg.Error as error:
            if (ours := translate(error)) is None:
                raise
            raise ours from error
        return self.read(rows)
