"""What callers hand in that cannot be taken is refused in words: with the value, and what to do."""

from __future__ import annotations

import asyncio
import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from quantumflow_client import (
    AsyncClient,
    BadArgument,
    Client,
    NoDatabase,
    UnsupportedValue,
    _dsn,
)
from quantumflow_client.errors import NotInstalled

if TYPE_CHECKING:
    from collections.abc import Callable

ONE = {"slug": "one", "steps": [{"name": "a"}]}

CONNECTION_STRINGS = [
    ("postgresql+psycopg://me:secret@h/d", r", postgresql\+psycopg://..., is no .*: postgresql://"),
    ("postgresql+asyncpg://me:secret@h/d", r"postgresql\+asyncpg://..."),
    ("http://localhost/app", r"http://..., is no connection string.*postgresql://user@host"),
    ("jdbc:postgresql://h/d?password=secret", "jdbc:postgresql://..."),
    ("host=h password=my secret", "is no connection string\n.*host=..."),
    ("hosst=h", 'is no connection string: invalid connection option "hosst"'),
]


@pytest.mark.parametrize(("dsn", "said"), CONNECTION_STRINGS)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_is_no_connection_string(kind: Any, dsn: str, said: str) -> None:
    with pytest.raises(BadArgument, match=f"(?s)the DSN.*{said}") as caught:
        kind(dsn)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__, "nor is what the driver said printed with it"


@pytest.mark.parametrize(("dsn", "said"), CONNECTION_STRINGS)
def test_what_is_no_connection_string_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, dsn: str, said: str
) -> None:
    monkeypatch.setenv("QUANTUMFLOW_DSN", dsn)
    with pytest.raises(BadArgument, match=f"(?s)QUANTUMFLOW_DSN.*{said}"):
        Client().start_flow("one")


class Engine:
    """Somebody else's."""


@pytest.mark.parametrize("source", [Engine(), 5432, Path("db"), ["dsn"]])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_is_no_source(kind: Any, source: object) -> None:
    with pytest.raises(BadArgument, match=r"the source is a .*: it is a DSN or a psycopg_pool"):
        kind(source)


def test_a_pool_of_the_other_kind_is_no_source() -> None:
    with pytest.raises(BadArgument, match="AsyncConnectionPool"):
        AsyncClient(ConnectionPool("", open=False))  # type: ignore[arg-type]
    with pytest.raises(BadArgument, match=r"psycopg_pool\.ConnectionPool"):
        Client(AsyncConnectionPool("", open=False))  # type: ignore[arg-type]


def somebodys(module: str, name: str) -> Any:
    """A connection of another library."""
    return type(name, (), {"__module__": module})()


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [
        ("django.utils.connection", "ConnectionProxy", "psycopg2 is not"),
        ("sqlalchemy.engine.base", "Connection", "postgresql+psycopg://"),
        ("psycopg2.extensions", "connection", "psycopg 3"),
        ("sqlite3", "Connection", "it is a psycopg."),
    ],
)
def test_what_is_no_connection(module: str, name: str, advice: str) -> None:
    other = somebodys(module, name)
    with pytest.raises(BadArgument, match=f"the connection is a {module}.{name}") as caught:
        Client("").start_flow("one", connection=other)
    assert advice in str(caught.value)
    with pytest.raises(BadArgument, match=f"the connection is a {module}.{name}") as caught:
        asyncio.run(AsyncClient("").start_flow("one", connection=other))
    assert advice in str(caught.value)


def test_a_connection_of_the_other_kind(dsn: str, connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(BadArgument, match=r"(?s)is a psycopg.Connection: .*AsyncClient"):
        asyncio.run(AsyncClient("").start_flow("one", connection=connection))  # type: ignore[call-overload]


NAIVE = datetime(2030, 1, 31, 9)  # noqa: DTZ001 - which is what it is about


@pytest.mark.parametrize(
    ("start_at", "said"),
    [
        (NAIVE, "which has no time zone"),
        (date(2030, 1, 31), "it is a datetime with a time zone"),
        ("tomorrow", "'tomorrow': it is a datetime"),
    ],
)
def test_a_start_that_is_no_moment(start_at: Any, said: str) -> None:
    with pytest.raises(BadArgument, match=f"start_at is .*{said}"):
        Client("").start_flow("one", start_at=start_at)
    with pytest.raises(BadArgument, match=f"start_at is .*{said}"):
        asyncio.run(AsyncClient("").start_flow("one", start_at=start_at))


@pytest.mark.parametrize("key", [7, UUID(int=7), b"seven"])
def test_an_idempotency_key_that_is_no_text(key: Any) -> None:
    said = r"(?s)idempotency_key is .*: it is a text\n.*str\(...\)"
    with pytest.raises(BadArgument, match=said):
        Client("").start_flow("one", idempotency_key=key)
    with pytest.raises(BadArgument, match=said):
        asyncio.run(AsyncClient("").start_flow("one", idempotency_key=key))


BY_RUN = ["status", "wait", "cancel", "pause", "resume", "retry", "retry_preview", "delete"]


@pytest.mark.parametrize("method", [*BY_RUN, "failures", "check"])
@pytest.mark.parametrize("run_id", ["nope", 7, ""])
def test_a_run_that_is_no_uuid(method: str, run_id: object) -> None:
    with pytest.raises(BadArgument, match=f"(?s)run_id is {run_id!r}: it is a UUID\n.*start_flow"):
        getattr(Client(""), method)(run_id)
    with pytest.raises(BadArgument, match=f"run_id is {run_id!r}"):
        asyncio.run(getattr(AsyncClient(""), method)(run_id))
    with pytest.raises(BadArgument, match=f"run_id is {run_id!r}"):
        Client("").start_flow("one", run_id=run_id)  # type: ignore[call-overload]


def test_a_run_by_its_text(client: Client) -> None:
    client.deploy(ONE)
    run_id: Any = str(client.start_flow("one"))
    assert client.status(run_id)["status"] == "started"


def test_a_start_is_at_that_moment_whatever_the_zones(
    client: Client, connection: psycopg.Connection[Any]
) -> None:
    client.deploy(ONE)
    there = datetime(2030, 1, 31, 9, tzinfo=timezone(timedelta(hours=-5)))
    client.start_flow("one", start_at=there)
    found = connection.execute("select queued_at from quantumflow.step_tasks").fetchone()
    assert found == (there,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queues": "x"}, r"(?s)queues is 'x', one text: .*queues=\['x'\]"),
        ({"queues": []}, r"queues is \[\]: it is a list of names, at least one"),
        ({"queues": [1]}, r"queues is \[1\]"),
        ({"commands": "nb.a"}, r"(?s)commands is 'nb.a', one text: .*commands=\['nb.a'\]"),
        ({"commands": []}, r"commands is \[\]"),
        ({"concurrency": 0}, "concurrency is 0: it is a whole number, 1 or more"),
        ({"concurrency": 2.5}, "concurrency is 2.5"),
        ({"concurrency": True}, "concurrency is True"),
        ({"prefetch": -5}, "prefetch is -5: it is a whole number, 0 or more"),
        ({"lease": 30}, "lease is 30: it is a timedelta"),
        ({"listen": "postgresql+psycopg://h"}, r"listen, postgresql\+psycopg://..., is no"),
    ],
)
def test_what_no_worker_can_be(options: dict[str, Any], said: str) -> None:
    client = Client("")
    client.command("nb.a")(lambda: 1)
    with pytest.raises(BadArgument, match=said):
        client.poll_and_run(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_connections": 0}, "max_connections is 0: it is a whole number, 1 or more"),
        ({"max_connections": "9"}, "max_connections is '9'"),
        ({"connection_timeout": -1}, "connection_timeout is -1: it is a number of seconds"),
        ({"connection_timeout": None}, "connection_timeout is None"),
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_no_other_bound_is_taken(kind: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArgument, match=said):
        kind("", **options)


def test_one_input_is_no_list_of_inputs(client: Client, dsn: str) -> None:
    client.deploy(ONE)
    wrong: list[tuple[Any, str]] = [
        ("ab", "inputs is one str: it is a list of inputs"),
        ({"amount": 1}, r"(?s)inputs is one dict: .*inputs=\[...\]"),
        (5, "inputs is one int"),
    ]
    for inputs, said in wrong:
        with pytest.raises(BadArgument, match=said):
            client.start_flows("one", inputs)

    async def main() -> None:
        async with AsyncClient(dsn) as aclient:
            for inputs, said in wrong:
                with pytest.raises(BadArgument, match=said):
                    await aclient.start_flows("one", inputs)

    asyncio.run(main())
    assert len(client.start_flows("one", (n for n in range(2)))) == 2, "of any kind"


NUL, SURROGATE = "U\\+0000", "U\\+D83D"
UNSTORABLE: list[tuple[dict[str, Any], str]] = [
    ({"input": {"a": [1, "b\0"]}}, rf"input\.a\[1\] has the character {NUL}"),
    ({"input": {"a\ud83d": 1}}, f"a key of input has the character {SURROGATE}"),
    ({"input": ["\ud83d"]}, rf"input\[0\] has the character {SURROGATE}"),
    ({"headers": {"h": "\0"}}, rf"headers\.h has the character {NUL}"),
    ({"headers": {"h": "\ud83d"}}, rf"headers\.h has the character {SURROGATE}"),
    ({"idempotency_key": "k\0"}, f"idempotency_key has the character {NUL}"),
    ({"idempotency_key": "k\ud83d"}, f"idempotency_key has the character {SURROGATE}"),
]


def test_a_text_that_no_database_holds(client: Client, dsn: str) -> None:
    client.deploy(ONE)
    for arguments, said in UNSTORABLE:
        with pytest.raises(UnsupportedValue, match=said):
            client.start_flow("one", **arguments)

    async def main() -> None:
        async with AsyncClient(dsn) as aclient:
            for arguments, said in UNSTORABLE:
                with pytest.raises(UnsupportedValue, match=said):
                    await aclient.start_flow("one", **arguments)

    asyncio.run(main())


def test_such_texts_in_other_calls(client: Client) -> None:
    client.deploy(ONE)
    run_id = client.start_flow("one")
    with pytest.raises(UnsupportedValue, match=rf"inputs\[1\]\.a has the character {NUL}"):
        client.start_flows("one", [{}, {"a": "\0"}])
    with pytest.raises(UnsupportedValue, match=f"reason has the character {NUL}"):
        client.cancel(run_id, "\0")
    with pytest.raises(UnsupportedValue, match=f"workflow_slug has the character {SURROGATE}"):
        client.start_flow("\ud83d")
    with pytest.raises(UnsupportedValue, match=rf"definition\.title has the character {NUL}"):
        client.deploy(ONE | {"title": "\0"})


def test_a_character_that_a_lent_connection_cannot_send(client: Client, dsn: str) -> None:
    client.deploy(ONE)
    with (
        psycopg.connect(dsn, client_encoding="latin1") as lent,
        pytest.raises(UnsupportedValue, match=r"(?s)U\+20AC, .*(latin|8859).*UTF8"),
    ):
        client.start_flow("one", idempotency_key="€", connection=lent)


def test_a_database_without_quantumflow(new_database: Callable[..., str], server: Any) -> None:
    dsn = server.dsn(new_database())
    with Client(dsn) as client, pytest.raises(NotInstalled, match="quantumflow install"):
        client.start_flow("one")
    with psycopg.connect(dsn) as lent, pytest.raises(NotInstalled):
        Client("").start_flow("one", connection=lent)

    async def main() -> None:
        async with AsyncClient(dsn) as client:
            with pytest.raises(NotInstalled):
                await client.start_flow("one")

    asyncio.run(main())


# Which database


@pytest.fixture
def nothing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """No word of a database, and no embedded server is started: what would be, is here."""
    calls: list[str] = []

    class FakeServer:
        def __init__(self, directory: object) -> None:
            calls.append(str(directory))

        def start(self) -> None:
            calls.append("start")

        def create_database(self, name: str) -> None:
            calls.append(name)

        def dsn(self, name: str) -> str:
            return f"dbname={name}"

    for name in ("QUANTUMFLOW_DSN", *_dsn.SAYS_WHERE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("quantumflow_client.embedded.EmbeddedServer", FakeServer)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", None)
    return calls


STARTED = [".quantumflow", "start", "quantumflow"]


def test_without_any_word_there_is_no_database(nothing_said: list[str]) -> None:
    with pytest.raises(NoDatabase) as caught:
        Client().start_flow("one")
    for way in ("Client(dsn)", "QUANTUMFLOW_DSN", "PG*", "quantumflow dev", "Client('embedded')"):
        assert way in str(caught.value)
    with pytest.raises(NoDatabase):
        asyncio.run(AsyncClient().start_flow("one"))
    assert nothing_said == []


def test_an_embedded_server_is_used_where_somebody_asked_for_it(
    nothing_said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Client("embedded")._connections.dsn() == "dbname=quantumflow"
    assert nothing_said == STARTED
    monkeypatch.setenv("QUANTUMFLOW_DSN", "embedded")
    assert AsyncClient()._connections.dsn() == "dbname=quantumflow"
    assert nothing_said == STARTED * 2


@pytest.mark.parametrize("why", ["folder", "terminal", "prompt"])
def test_it_is_used_where_it_is_or_somebody_sees_it_and_says_so(
    nothing_said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    why: str,
) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    if why == "folder":
        (tmp_path / ".quantumflow").mkdir()
    elif why == "terminal":
        monkeypatch.setattr(sys, "stdin", Terminal())
    else:
        monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert Client()._connections.dsn() == "dbname=quantumflow"
    assert nothing_said == STARTED
    assert f"working on the embedded PostgreSQL in {tmp_path}/.quantumflow" in caplog.text
