"""A call of a database function as a value: SQL text, parameters, and how to read the answer.

Building a call does no I/O. `on` carries it out on a connection, `aon` on an asynchronous one.
Whatever transaction the connection is in stays the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import psycopg
from psycopg.rows import TupleRow, tuple_row

from ._arguments import check
from ._borrowed import apsycopg_of, psycopg_of
from .errors import translate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import LiteralString

    from ._borrowed import AsyncBorrowed, Borrowed

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

    def __post_init__(self) -> None:
        check(self.params)

    def on(self, connection: Borrowed) -> T:
        """Carry the call out.

        Raises:
            QuantumflowError: The database refused it with one of quantumflow's codes, or has no
                quantumflow.
            psycopg.Error: Anything else.
        """
        if not isinstance(connection, psycopg.Connection):
            connection = psycopg_of(connection)
        # A cursor of our own: the connection's factories are the user's, and may speak other
        # placeholders. Binary: how text looks is a matter of settings, DateStyle for example.
        cursor = psycopg.Cursor(connection, row_factory=tuple_row)
        try:
            rows = cursor.execute(self.statement, self.params, binary=True).fetchall()
        except psycopg.Error as error:
            if (ours := translate(error)) is None:
                raise
            raise ours from error
        return self.read(_as_text(connection, rows))

    async def aon(self, connection: AsyncBorrowed) -> T:
        """Carry the call out on an asynchronous connection; see `on`."""
        if not isinstance(connection, psycopg.AsyncConnection):
            connection = await apsycopg_of(connection)
        cursor = psycopg.AsyncCursor(connection, row_factory=tuple_row)
        try:
            await cursor.execute(self.statement, self.params, binary=True)
            rows = await cursor.fetchall()
        except psycopg.Error as error:
            if (ours := translate(error)) is None:
                raise
            raise ours from error
        return self.read(_as_text(connection, rows))


def _as_text(
    connection: psycopg.BaseConnection[Any], rows: Sequence[TupleRow]
) -> Sequence[TupleRow]:
    """The rows, with texts where psycopg leaves bytes: in a session whose encoding is SQL_ASCII.

    Such a session is none of ours, but one that a pool, or the application, lends.
    """
    if connection.pgconn.parameter_status(b"client_encoding") != b"SQL_ASCII":
        return rows
    return [
        tuple(
            str(value, "utf-8", "replace") if isinstance(value, bytes) else value for value in row
        )
        for row in rows
    ]
