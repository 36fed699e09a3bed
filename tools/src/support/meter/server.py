"""The server that everything is measured on, its databases, and the connections that drive it."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from quantumflow_client.embedded import EmbeddedServer
from support.server import REPOSITORY

CACHE = REPOSITORY / ".cache" / "bench"

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    # Often, or who is slow for minutes is helped by it and who is done in a second is not, by luck.
    "autovacuum_naptime": "2s",
    "shared_buffers": "512MB",
    # Files of the log are made once, and used again and again.
    "min_wal_size": "2GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "300",
    "shared_preload_libraries": "pg_stat_statements",
    # Counted only where counters are read: see Database.connect(counted=True).
    "pg_stat_statements.track": "none",
    "pg_stat_statements.max": "20000",
}


class Pump:
    """A connection that costs the client next to nothing: text goes in, text comes out.

    Statements are prepared at their first use. The lock on the interpreter is not held while the
    server works, so that several pumps in threads keep several backends busy.
    """

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self._pq = self.connection.pgconn
        self._names: dict[str, bytes] = {}

    def __call__(self, statement: str, *parameters: bytes | str | None) -> pq.abc.PGresult:
        """Run one statement in a transaction of its own, or in the one that was begun."""
        name = self._names.get(statement)
        if name is None:
            name = self._names[statement] = f"s{len(self._names)}".encode()
            self._checked(self._pq.prepare(name, statement.encode()))
        values: list[Any] = [p.encode() if isinstance(p, str) else p for p in parameters]
        return self._checked(self._pq.exec_prepared(name, values))

    def scalar(self, statement: str, *parameters: bytes | str | None) -> str | None:
        """The first column of the first row."""
        found = self(statement, *parameters)
        value = found.get_value(0, 0) if found.ntuples else None
        return None if value is None else value.decode()

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    @staticmethod
    def _checked(result: pq.abc.PGresult) -> pq.abc.PGresult:
        if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
            raise psycopg.DatabaseError(pq.error_message(result))
        return result


class Database:
    """A database of the server, from a template, dropped at the end."""

    def __init__(self, server_dsn: str, name: str) -> None:
        self.name = name
        self._server_dsn = server_dsn
        self._pumps: list[Pump] = []

    def dsn(self, *, counted: bool = False) -> str:
        """How to connect: counted statements are seen by pg_stat_statements, nested ones too."""
        options = "-c pg_stat_statements.track=all" if counted else ""
        return make_conninfo(self._server_dsn, dbname=self.name, options=options)

    def pump(self, *, counted: bool = False) -> Pump:
        """Open a connection that is closed with the database."""
        pump = Pump(self.dsn(counted=counted))
        self._pumps.append(pump)
        return pump

    def value(self, query: str, *parameters: Any) -> Any:
        """The first column of a query's first row, asked on a connection of its own."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            row = connection.execute(query.encode(), parameters).fetchone()
            return None if row is None else row[0]

    def execute(self, script: str) -> None:
        """Run statements, several at once if need be."""
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(script.encode())

    def close(self) -> None:
        """Close its connections."""
        while self._pumps:
            self._pumps.pop().close()


class Server:
    """The one server of a run."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        self.embedded = EmbeddedServer(
            CACHE / f"server-{os.getpid()}", settings=SETTINGS | (settings or {})
        )
        self._numbers = itertools.count(1)
        self._templates: dict[str, str] = {}

    def __enter__(self) -> Server:
        _remove_leftovers()
        self.embedded.start()
        # Asking for these again and again starts processes.
        self.dsn = self.embedded.dsn("postgres")
        self.bindir = self.embedded.bindir
        self.data = self.embedded.home / "server" / "data"
        with self.admin() as admin:
            admin.execute("create extension pg_stat_statements")
        return self

    def __exit__(self, *_: object) -> None:
        self.embedded.destroy()

    @contextlib.contextmanager
    def admin(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection to the database postgres, where nothing is measured."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            yield connection

    def template(self, key: str) -> tuple[Database, bool]:
        """A database to be copied, and whether it is new and waits to be filled."""
        is_new = key not in self._templates
        if is_new:
            self._templates[key] = f"template_{key}"
            self._create(self._templates[key], "template0")
        return Database(self.dsn, self._templates[key]), is_new

    @contextlib.contextmanager
    def database(self, template: Database | None = None) -> Iterator[Database]:
        """A fresh database, a copy of a template."""
        name = f"bench_{next(self._numbers)}"
        self._create(name, template.name if template else "template0")
        database = Database(self.dsn, name)
        try:
            yield database
        finally:
            database.close()
            with self.admin() as admin:
                admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    def quiesce(self, database: Database) -> None:
        """Let what came before be no burden on what comes next."""
        database.execute("vacuum (analyze)")
        with self.admin() as admin:
            admin.execute("checkpoint")

    def cpu_seconds(self) -> float:
        """What the server's processes have used of the processors, up to now; 0 if not known."""
        if not Path("/proc/self").exists():
            return 0.0
        postmaster = (self.data / "postmaster.pid").read_text().split("\n", 1)[0]
        processes = (entry for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        return sum(_ticks(p, postmaster) for p in processes) / os.sysconf("SC_CLK_TCK")

    def _create(self, name: str, template: str) -> None:
        with self.admin() as admin:
            admin.execute(
                sql.SQL("create database {} template {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )


def _remove_leftovers() -> None:
    """Remove the servers of runs that were killed."""
    for found in CACHE.glob("server-*"):
        try:
            os.kill(int(found.name.removeprefix("server-")), 0)
        except ProcessLookupError:
            EmbeddedServer(found).destroy()


def _ticks(process: Path, postmaster: str) -> int:
    """The processor time of one process: a backend's own, the postmaster's with its dead."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        if process.name == postmaster:
            return sum(map(int, fields[11:15]))
        if fields[1] == postmaster:
            return sum(map(int, fields[11:13]))
    return 0
