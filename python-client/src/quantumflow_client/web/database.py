"""Carries calls out for many viewers, over a few connections, none for longer than it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from psycopg.conninfo import make_conninfo

from quantumflow_client import _sql
from quantumflow_client._connections import Connections
from quantumflow_client._dsn import parts_of, real_dsn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantumflow_client._call import Call

T = TypeVar("T")


class Database:
    """A database that is looked at, and steered.

    Args:
        source: The connection string.
        connections: How many connections there are at most.
        patience: For how many seconds a call waits for one of them, and the server works on it.
    """

    def __init__(self, source: str, *, connections: int = 4, patience: float = 10.0) -> None:
        dsn = real_dsn(source)
        said = parts_of(dsn).get("options", "")
        options = f"{said} -c statement_timeout={int(patience * 1000)}".strip()
        self.connections = Connections(
            make_conninfo(dsn, options=options), most=connections, keep=connections, wait=patience
        )

    def ask(self, call: Call[T], /) -> T:
        """Carry a call out."""
        return self.connections.run(call)

    def act(self, call: Call[T], who: str | None) -> T:
        """Carry a call out for somebody, whose name goes into the audit log."""
        if who is None:
            return self.ask(call)
        with self.connections.lent() as connection, connection.transaction():
            _sql.session.act_for(who).on(connection)
            return call.on(connection)

    def may(self, names: Iterable[str]) -> frozenset[str]:
        """Which of the functions the role may call."""
        return self.ask(_sql.session.may(names))
