"""A database whose owner is a superuser, and one whose owner is not, each with a role a level.

And with STRANGERS: roles that were granted nothing of quantumflow, but something beside it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from support.functions import Function, functions_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantumflow_client.embedded import EmbeddedServer

Connection = psycopg.Connection[Any]

_OF_BOTH_OWNERS = ("test_the_traps_work", "test_nor_when_anybody_else_calls")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What strangers put in the way of an owner who is no superuser is shown for a superuser in the
    long tests: the engine does not ask which of the two owns it."""
    for item in items:
        _, _, called = item.nodeid.partition("access/test_strangers.py::")
        if "[superuser" in called and not called.startswith(_OF_BOTH_OWNERS):
            item.add_marker(pytest.mark.long)


RUN = "10000000-0000-0000-0000-000000000001"
ENDED = "10000000-0000-0000-0000-000000000002"
LEVELS: dict[str, tuple[str, ...]] = {
    "nobody": (),
    "viewer": ("viewer",),
    "caller": ("caller",),
    "worker": ("worker",),
    "operator": ("operator",),
    "author": ("author",),
    "several": ("worker", "viewer"),
}
# Another user of pgmq, who makes queues of his own; and one who makes schemas of his own.
STRANGERS = {
    "neighbour": "grant usage, create on schema pgmq to {role}",
    "founder": "grant create on database {database} to {role}",
}


@dataclass
class Installation:
    """A database with quantumflow, its owner, and a login role for each of LEVELS and STRANGERS."""

    dsn: str
    prefix: str
    owner: str
    opened: contextlib.ExitStack
    _connections: dict[str, Connection] = field(default_factory=dict)

    def role(self, name: str) -> str:
        return f"{self.prefix}_{name}"

    def connect(self, user: str) -> Connection:
        dsn = make_conninfo(self.dsn, user=user)
        return self.opened.enter_context(psycopg.connect(dsn, autocommit=True))

    def session(self, name: str) -> Connection:
        """The session of the role that has a level, or of the owner."""
        if name not in self._connections:
            user = self.owner if name == "owner" else self.role(name)
            self._connections[name] = self.connect(user)
        return self._connections[name]

    def functions(self) -> list[Function]:
        return functions_of(self.session("owner"))

    def levels(self) -> dict[str, set[str]]:
        """What the extension says of its public functions: the levels that may call each."""
        query = "select function_name, levels from quantumflow._levels()"
        return {name: set(levels) for name, levels in self.session("owner").execute(query)}

    def may_call(self, name: str) -> set[str]:
        """The functions that the role named so may call, by what it was granted."""
        granted = {level for given in LEVELS[name] for level in (given, *_INCLUDED.get(given, ()))}
        return {function for function, levels in self.levels().items() if levels & granted}


_INCLUDED = {"operator": ("viewer",), "author": ("viewer",)}


@pytest.fixture(scope="module", params=["plain", "superuser"])
def installation(request: pytest.FixtureRequest, server: EmbeddedServer) -> Iterator[Installation]:
    prefix = f"access_{request.param}"
    owner = f"{prefix}_owner"
    roles = [owner, *(f"{prefix}_{name}" for name in (*LEVELS, *STRANGERS))]
    with contextlib.ExitStack() as opened:
        admin = opened.enter_context(psycopg.connect(server.dsn("postgres"), autocommit=True))
        for role in roles:
            admin.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        if request.param == "superuser":
            admin.execute(sql.SQL("alter role {} superuser").format(sql.Identifier(owner)))
        admin.execute(
            sql.SQL("create database {} owner {}").format(
                sql.Identifier(prefix), sql.Identifier(owner)
            )
        )
        installed = Installation(server.dsn(prefix), prefix, owner, opened)
        connection = installed.session("owner")
        connection.execute("create extension quantumflow cascade")
        for name, levels in LEVELS.items():
            for level in levels:
                connection.execute(
                    "select quantumflow.grant_access(%s, %s)", [f"{prefix}_{name}", level]
                )
        for name, grant in STRANGERS.items():
            names = {"role": sql.Identifier(f"{prefix}_{name}"), "database": sql.Identifier(prefix)}
            connection.execute(sql.SQL(grant).format(**names))
        connection.execute(
            "select quantumflow.define_flow("
            """'{"slug": "w", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}')"""
        )
        connection.execute(f"select quantumflow.start_flow('w', run_id => '{RUN}')")
        connection.execute(f"select quantumflow.start_flow('w', run_id => '{ENDED}')")
        connection.execute(f"select quantumflow.cancel_run('{ENDED}')")
        connection.execute("select quantumflow.register_decomposer('tidy', 'rules')")
        connection.execute("""select quantumflow.add_method('tidy', '[{"id": "a"}]')""")
        connection.execute("select quantumflow.decompose_goal('tidy up', 'tidy')")
        connection.execute(f"update quantumflow.goals set goal_id = '{RUN}'")
        yield installed
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(prefix)))
        for role in roles:
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
