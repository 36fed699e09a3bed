"""A copy of a database does none of its original's work, until somebody says that it shall."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg
import pytest

from quantumflow_client import Client
from quantumflow_client.errors import DatabaseIsCopy
from support.engine import Engine

if TYPE_CHECKING:
    from quantumflow_client.embedded import EmbeddedServer

Connect = Callable[..., psycopg.Connection]


def start_one(connection: psycopg.Connection) -> Engine:
    """Let there be a run in a database."""
    engine = Engine(connection)
    engine.define("one", [{"name": "only"}])
    engine.start("one")
    return engine


@pytest.mark.system
def test_a_copied_database_claims_only_after_it_was_adopted(
    server: EmbeddedServer, database: str, new_database: Callable[..., str], connect: Connect
) -> None:
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        start_one(connection)
    copy = Engine(connect(server.dsn(new_database(database))))

    for call in (copy.claim, lambda: copy.exchange([])):
        with pytest.raises(psycopg.Error) as caught:
            call()
        assert caught.value.sqlstate == "QF404"

    copy.value("select quantumflow.adopt()")
    assert copy.drain() == 1
    assert Engine(connect(server.dsn(database))).drain() == 1, "the original goes on"


def test_a_worker_of_a_copy_stops_and_says_why(
    dsn: str, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    engine = start_one(connection)
    engine.value("update quantumflow.settings set value = 'x' where name = 'identity' returning 1")

    client = Client(dsn)
    client.command("only")(lambda: 1)
    with client, pytest.raises(DatabaseIsCopy, match="a copy of another") as caught:
        client.poll_and_run()
    assert "quantumflow.adopt()" in str(caught.value)
    assert engine.value("select count(*) from quantumflow.workers where stopped_at is null") == 0
