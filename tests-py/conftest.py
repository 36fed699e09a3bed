"""One server a process, one template database, and a fresh copy of it for every test that asks."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from quantumflow_client import _extension
from quantumflow_client.embedded import EmbeddedServer, pgmq_files
from support.server import REPOSITORY, build_extension, server_kind, throwaway_server

if TYPE_CHECKING:
    from pathlib import Path

Connection = psycopg.Connection[Any]
Connect = Callable[..., Connection]

_numbers = itertools.count(1)

# What tests write stays in the clone, too.
_TEMPORARY = REPOSITORY / ".cache" / "tmp"
_TEMPORARY.mkdir(parents=True, exist_ok=True)
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_TEMPORARY))

# The many processes that tests start compile the client once, whatever the shell says.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """With -n, a file's tests go to one process, since they share what is made for the file.

    Tests marked xdist_group("name") go with their group instead: parts of a file that is too long.
    """
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling

    class ByFileOrGroup(LoadGroupScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return str(super()._split_scope(nodeid)).partition("::")[0]

    return ByFileOrGroup(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """With -n, what a process reports goes to another as UTF-8, broken texts of tests included."""
    return _as_utf8((yield))


def _as_utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_as_utf8(key): _as_utf8(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_as_utf8, value))
    return value


@pytest.fixture(scope="session")
def hostile_upgrade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upgrade of pgmq to 99.0 that does as those to 1.10 and 1.13 do."""
    (version,) = (name[6:-4] for name in pgmq_files() if name.startswith("pgmq--"))
    file = tmp_path_factory.mktemp("upgrade") / f"pgmq--{version}--99.0.sql"
    file.write_text((REPOSITORY / "tests-py" / "upgrade" / "hostile_pgmq.sql").read_text("utf-8"))
    return file


@pytest.fixture(scope="session")
def server(hostile_upgrade: Path) -> Iterator[EmbeddedServer]:
    """The server that the tests share: QUANTUMFLOW_TEST_SERVER names its kind."""
    build_extension()
    releases = (REPOSITORY / "extension" / "releases").glob("quantumflow--*.sql")
    old = [file for file in releases if file.name not in _extension.files()]
    with throwaway_server(server_kind(), extension_files=[hostile_upgrade, *old]) as started:
        yield started


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """The name of a database with pgmq and quantumflow, to be copied, not used."""
    server.create_database("quantumflow_template")
    return "quantumflow_template"


@pytest.fixture
def new_database(server: EmbeddedServer) -> Iterator[Callable[..., str]]:
    """Makes a database, by default an empty one, that is dropped after the test."""
    made: list[str] = []

    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:

        def make(template: str = "template0") -> str:
            name = f"test_{next(_numbers)}"
            statement = sql.SQL("create database {} template {} strategy file_copy")
            if admin.info.server_version < 150000:  # the only strategy there was
                statement = sql.SQL("create database {} template {}")
            admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
            made.append(name)
            return name

        yield make
        for name in made:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def database(new_database: Callable[..., str], template: str) -> str:
    """The name of a fresh database with pgmq and quantumflow."""
    return new_database(template)


@pytest.fixture
def dsn(server: EmbeddedServer, database: str) -> str:
    """The connection string of a fresh database with pgmq and quantumflow."""
    return server.dsn(database)


@pytest.fixture(scope="module")
def module_dsn(
    server: EmbeddedServer, template: str, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The connection string of a database for all tests of the module."""
    name = request.module.__name__.replace(".", "_")
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        yield server.dsn(name)
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Opens connections, by default autocommit to the fresh database; closes them at the end."""
    with contextlib.ExitStack() as opened:

        def open_connection(dsn: str | None = None, **options: Any) -> Connection:
            dsn = dsn or str(request.getfixturevalue("dsn"))
            return opened.enter_context(psycopg.connect(dsn, **{"autocommit": True} | options))

        # The database must outlive the connections: the fixture that starts first ends last.
        request.getfixturevalue("new_database")
        yield open_connection


@pytest.fixture
def connection(connect: Connect) -> Connection:
    """One autocommit connection to the fresh database."""
    return connect()


@pytest.fixture
def queue_depth() -> Callable[..., int]:
    """Counts the messages of a queue, visible or not."""

    def count(connection: Connection, queue: str = "quantum_flow_queue") -> int:
        table = sql.Identifier("pgmq", f"q_{queue}")
        row = connection.execute(sql.SQL("select count(*) from {}").format(table)).fetchone()
        assert row is not None
        return int(row[0])

    return count
