"""Connections of SQLAlchemy and Django: a call on one is part of what is done on it."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa
from django.conf import settings
from django.db import transaction
from django.db.utils import ConnectionHandler
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from quantumflow_client import AsyncClient, BadArgument, Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONE = {"slug": "one", "steps": [{"name": "a"}]}


def url_of(dsn: str, driver: str = "psycopg") -> sa.URL:
    parts = {key: str(value) for key, value in psycopg.conninfo.conninfo_to_dict(dsn).items()}
    return sa.URL.create(f"postgresql+{driver}", query=parts)


@pytest.fixture
def engine(dsn: str, client: Client) -> Iterator[sa.Engine]:
    client.deploy(ONE)
    engine = sa.create_engine(url_of(dsn))
    yield engine
    engine.dispose()


def runs(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("select count(*) from quantumflow.workflow_runs").fetchone()
    assert row is not None
    return int(row[0])


def test_a_connection_of_sqlalchemy(
    engine: sa.Engine, client: Client, connection: psycopg.Connection[Any]
) -> None:
    with engine.connect() as theirs:
        # The first thing that is done on it: it begins, and so there is something to commit.
        client.start_flow("one", connection=theirs)
        assert runs(connection) == 0
        theirs.commit()
        assert runs(connection) == 1
        client.start_flow("one", connection=theirs)
        theirs.rollback()
        assert runs(connection) == 1
    with engine.begin() as theirs:
        run_id = client.start_flow("one", connection=theirs)
        assert client.status(run_id, summary=True, connection=theirs)["status"] == "started"
    assert runs(connection) == 2


def test_sessions_of_sqlalchemy(
    engine: sa.Engine, client: Client, connection: psycopg.Connection[Any]
) -> None:
    with Session(engine) as session:
        client.start_flow("one", connection=session)
        session.rollback()
    with Session(engine) as session, session.begin():
        client.start_flow("one", connection=session)
    scoped = scoped_session(sessionmaker(engine))
    client.start_flow("one", connection=scoped)
    scoped.commit()
    scoped.remove()
    assert runs(connection) == 2


def test_asynchronous_ones_of_sqlalchemy(
    engine: sa.Engine, dsn: str, connection: psycopg.Connection[Any]
) -> None:
    async def start() -> None:
        theirs = create_async_engine(url_of(dsn))
        async with AsyncClient(dsn) as client:
            async with theirs.connect() as of_theirs:
                await client.start_flow("one", connection=of_theirs)
                await of_theirs.rollback()
                await client.start_flow("one", connection=of_theirs)
                await of_theirs.commit()
            async with AsyncSession(theirs) as session, session.begin():
                await client.start_flow("one", connection=session)
            with Client(dsn) as other, pytest.raises(BadArgument, match="AsyncClient takes"):
                other.start_flow("one", connection=session)
        await theirs.dispose()

    asyncio.run(start())
    assert runs(connection) == 2


def test_a_session_of_another_driver(client: Client) -> None:
    with (
        sa.create_engine("sqlite://").connect() as theirs,
        pytest.raises(BadArgument, match=r"(?s)inside a sqlite3.Connection.*postgresql\+psycopg"),
    ):
        client.start_flow("one", connection=theirs)


@pytest.fixture
def django(dsn: str) -> Iterator[Any]:
    """Django's connection to the fresh database."""
    if not settings.configured:
        settings.configure(USE_TZ=True)
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts["dbname"],
        "USER": parts.get("user"),
        "PASSWORD": parts.get("password"),
        "HOST": parts.get("host"),
        "PORT": parts.get("port"),
    }
    with closing(ConnectionHandler({"default": database})["default"]) as connection:
        yield connection


def test_a_connection_of_django(
    django: Any, client: Client, connection: psycopg.Connection[Any], monkeypatch: Any
) -> None:
    client.deploy(ONE)
    monkeypatch.setattr(transaction, "get_connection", lambda _=None: django)
    with transaction.atomic():
        run_id = client.start_flow("one", {"a": 1}, headers={"h": 1}, connection=django)
        assert client.status(run_id, connection=django)["input"] == {"a": 1}
        assert runs(connection) == 0
    assert runs(connection) == 1
    with transaction.atomic():
        client.start_flow("one", connection=django)
        transaction.set_rollback(True)
    assert runs(connection) == 1
    assert client.failures(connection=django) == []
    assert client.check(connection=django) == []
    client.cancel(run_id, "no more", connection=django)
    assert client.status(run_id)["error_message"] == "no more"


_WAITING = {"decompose_goal", "execute_goal", "execute_goals"}


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_call_takes_a_connection(kind: Any) -> None:
    methods: dict[str, Callable[..., Any]] = {
        name: method
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if "._run(" in inspect.getsource(method) and not name.startswith("_")
    }
    # What waits for others would wait in a transaction of the caller's for ever.
    methods = {name: method for name, method in methods.items() if name not in _WAITING}
    assert len(methods) >= 15
    for name, method in methods.items():
        assert "connection" in inspect.signature(method).parameters, name
