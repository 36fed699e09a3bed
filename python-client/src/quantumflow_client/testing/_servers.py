"""Databases for tests: on a PostgreSQL of our own, which the processes of a test run share.

It is below the folder for temporary files, is begun when it is first needed, and is removed with
all it holds by the last process that used it; what was killed is removed by the next one that
looks. A test run is what pytest-xdist calls one, or a process.
"""

from __future__ import annotations

import atexit
import fcntl
import itertools
import os
import tempfile
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from quantumflow_client import _sql
from quantumflow_client._connections import connect
from quantumflow_client.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "quantumflow testing"
_TEMPLATE = "quantumflow_template"
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
}

# What waits has a queue of its own, which is made with the first definition that has such a step.
_WAITING = {"slug": "waiting", "steps": [{"name": "a", "type": "sleep", "seconds": 1}]}


class _Server:
    """The server of this process's test run."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._server: EmbeddedServer | None = None
        self._held: int | None = None
        self._numbers = itertools.count(1)
        self.idle: list[psycopg.Connection[Any]] = []

    def get(self) -> EmbeddedServer:
        """The server, which runs then.

        Raises:
            EmbeddedServerError: There is none, and none can be made.
        """
        with self._lock:
            if self._process != os.getpid():
                self._forget()
            if self._server is None:
                _remove_leftovers()
                folder = _folder(os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid()))
                self._held = _hold(_lock_of(folder))
                server = EmbeddedServer(folder, settings=_SETTINGS)
                atexit.register(self._leave, server)
                server.start()
                self._server = server
            return self._server

    def new_database(self) -> str:
        """Make a database in which the clock may be set; its name."""
        server = self.get()
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
            # As long as this is held, nobody is connected to the template.
            admin.execute("select pg_advisory_lock(hashtext('quantumflow_testing'))")
            found = admin.execute("select from pg_database where datname = %s", [_TEMPLATE])
            if found.rowcount == 0:
                _make_template(server, admin)
            made = sql.SQL("create database {} template {} strategy file_copy")
            admin.execute(made.format(sql.Identifier(name), sql.Identifier(_TEMPLATE)))
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        with psycopg.connect(self.get().dsn("postgres"), autocommit=True) as admin:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    def _leave(self, server: EmbeddedServer) -> None:
        """Remove the server, unless others of the test run use it."""
        if self._process != os.getpid() or self._held is None:
            return
        for connection in self.idle:
            connection.close()
        _remove_unless_held(server.directory, self._held)


_server = _Server()


def _make_template(server: EmbeddedServer, admin: psycopg.Connection[Any]) -> None:
    unfinished = f"{_TEMPLATE}_unfinished"
    with psycopg.connect(server.create_database(unfinished), autocommit=True) as connection:
        connection.execute(
            "insert into quantumflow.settings (name, value) values ('test_clock', 'on')"
        )
        _sql.installation.setup().on(connection)
        _sql.definitions.define_flow(_WAITING, None, rollback=True).on(connection)
        _sql.definitions.delete_flow("waiting").on(connection)
    renamed = sql.SQL("alter database {} rename to {}")
    admin.execute(renamed.format(sql.Identifier(unfinished), sql.Identifier(_TEMPLATE)))


@contextmanager
def lent_connection(database: str | None) -> Iterator[psycopg.Connection[Any]]:
    """A connection for the caller alone meanwhile, who leaves nothing behind.

    Args:
        database: Where to; by default to a database of our own, whose connections are kept.
    """
    if database is not None:
        with connect(database, name=NAME) as connection:
            yield connection
        return
    server = _server.get()
    try:
        connection = _server.idle.pop()
    except IndexError:
        connection = connect(server.dsn(_server.new_database()), name=NAME)
    try:
        yield connection
    finally:
        if connection.closed or connection.broken:
            connection.close()
        else:
            _server.idle.append(connection)


class Database:
    """A database for one test, with a clock that all of its sessions share.

    Attributes:
        dsn: Its connection string, for Client, AsyncClient, a worker, an application.
    """

    def __init__(self, dsn: str, connection: psycopg.Connection[Any]) -> None:
        self.dsn = dsn
        self._connection = connection

    @property
    def now(self) -> datetime:
        """What time it is in the database."""
        return self.advance(0)

    def advance(self, by: float | timedelta) -> datetime:
        """Let time pass: seconds, or a timedelta. Workers are told.

        Returns:
            What time it is then.

        Calls quantumflow.advance_clock.
        """
        ahead = by if isinstance(by, timedelta) else timedelta(seconds=by)
        then = _sql.workers.advance_clock(ahead).on(self._connection)
        assert then is not None
        return then

    def advance_until_due(self) -> datetime | None:
        """Let time pass until something is due: a retry, a sleep, a schedule, the end of a lease.

        Returns:
            What time it is then; None, and no time has passed: nothing will ever be due.

        Calls quantumflow.advance_clock.
        """
        return _sql.workers.advance_clock(None, until_due=True).on(self._connection)


@contextmanager
def database() -> Iterator[Database]:
    """A database of its own for a test, with pgmq and quantumflow, dropped at the end.

    with testing.database() as database:
        client = Client(database.dsn)

    What `Rehearsal` does in one connection goes on here in as many as an application has: time
    passes as everywhere, and by `advance` besides.

    Raises:
        EmbeddedServerError: There is no PostgreSQL: see the extra `embedded`.
    """
    name = _server.new_database()
    dsn = _server.get().dsn(name)
    try:
        with connect(dsn, name=NAME) as connection:
            connection.execute(
                sql.SQL("alter database {} set quantumflow.now = 'shared'").format(
                    sql.Identifier(name)
                )
            )
        with connect(dsn, name=NAME) as connection:
            yield Database(dsn, connection)
    finally:
        _server.drop_database(name)


# Who is there


def _folder(test_run: str) -> Path:
    return Path(tempfile.gettempdir()) / f"quantumflow-testing-{os.geteuid()}-{test_run[:32]}"


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _hold(file: Path) -> int:
    """Hold a file as one of those who use what it stands for."""
    while True:
        held = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(held, fcntl.LOCK_SH)
        # The last one may have removed it meanwhile.
        with suppress(FileNotFoundError):
            if os.path.samestat(file.stat(), os.fstat(held)):
                return held
        os.close(held)


def _remove_unless_held(folder: Path, held: int) -> None:
    """Remove a server, and the file that says who uses it, if nobody else does."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    else:
        EmbeddedServer(folder).destroy()
        _lock_of(folder).unlink(missing_ok=True)
    finally:
        os.close(held)


def _remove_leftovers() -> None:
    """Remove the servers of test runs that were killed."""
    pattern = _lock_of(_folder("*")).name
    for file in Path(tempfile.gettempdir()).glob(pattern):
        with suppress(OSError):
            held = os.open(file, os.O_RDWR)
            _remove_unless_held(file.with_name(file.name.removesuffix(".lock")), held)
