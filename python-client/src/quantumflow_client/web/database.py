"""Carries calls out for many viewers, over a few connections, none for longer than it may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from psycopg.conninfo import make_conninfo

from quantumflow_client._connections import Connections
from quantumflow_client._dsn import parts_of, real_dsn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantumflow_client._call import Call

T = TypeVar("T")

_MAY = """
    select n.name, pg_catalog.has_function_privilege(
      pg_catalog.to_regproc('quantumflow.' operator(pg_catalog.||) n.name)::pg_catalog.oid,
      'execute')
    from pg_catalog.unnest(%s::pg_catalog.text[]) as n (name)
"""
"""Which functions the role may call: null for those that are not there."""

_ACTOR = "select pg_catalog.set_config('quantumflow.actor', %s, true)"
"""For whom the next call acts: what audit_log has as on_behalf_of."""


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
            connection.execute(_ACTOR, [who])
            return call.on(connection)

    def may(self, names: Iterable[str]) -> frozenset[str]:
        """Which of the functions the role may call."""
        with self.connections.lent() as connection, connection.transaction():
            rows = connection.execute(_MAY, [list(names)]).fetchall()
        return frozenset(name for name, may in rows if may)
