"""The client: definitions, starts, waits, and other people's transactions."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import psycopg.rows
import pytest
from psycopg_pool import ConnectionPool

from quantumflow_client import Client, Flow, RunCancelled, WaitTimeout, _connections, _sql
from quantumflow_client._call import Call
from quantumflow_client.errors import BadSlug, RunIdTaken, UnsupportedValue
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

ONE = {"slug": "one", "steps": [{"name": "a"}]}


def count_runs(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("select count(*) from quantumflow.workflow_runs").fetchone()
    assert row is not None
    return int(row[0])


def test_the_same_definition_again_is_the_same_version(client: Client) -> None:
    assert client.deploy(ONE).version == 1
    client.start_flow("one")
    again = client.deploy(ONE)
    assert (again.workflow_slug, again.version) == ("one", 1)
    assert again.frozen_at is not None
    assert client.deploy({"slug": "one", "steps": [{"name": "b"}]}).version == 2


def test_an_older_definition_leaves_a_newer_version_current_unless_told(client: Client) -> None:
    other = ONE | {"title": "Newer"}
    assert [client.deploy(flow).version for flow in (ONE, other)] == [1, 2]
    again = client.deploy(ONE)
    assert (again.version, again.current_version) == (1, 2)
    back = client.deploy(ONE, rollback=True)
    assert (back.version, back.current_version) == (1, 1)
    assert client.deploy(other).current_version == 2


def test_a_slug_may_be_given_beside_a_definition(client: Client) -> None:
    printed = {"version": "1.0", "steps": [{"name": "step1", "type": "task", "command": "cmd1"}]}
    assert client.deploy(printed, "printed").workflow_slug == "printed"
    with pytest.raises(BadSlug, match='slug is "other", and workflow_slug is "printed"'):
        client.deploy(printed | {"slug": "other"}, "printed")


def test_a_flow_written_in_python_is_defined_and_handled(client: Client) -> None:
    flow = Flow("sums", on_complete=lambda run, output: seen.append((run, output)))
    seen: list[Any] = []

    @flow.step
    def numbers(run: dict[str, int]) -> list[int]:
        return list(range(run["n"]))

    @flow.map(over=numbers)
    def square(item: int, run: dict[str, int]) -> int:
        return item * item + run["n"] - run["n"]

    @flow.step(depends_on=[square, numbers])
    def total(square: list[int], numbers: list[int], run: dict[str, int]) -> int:
        return sum(square) + len(numbers) - run["n"]

    client.deploy(flow)
    run_id = client.start_flow("sums", {"n": 4})
    assert client.poll_and_run(until_idle=True) == 7
    assert client.wait(run_id, timeout=0) == {"total": 14}
    assert seen == [({"n": 4}, {"total": 14})]


def test_a_run_has_what_it_was_started_with(client: Client) -> None:
    client.deploy(ONE)
    run_id = uuid4()
    started = client.start_flow(
        "one",
        [1, None],
        run_id=run_id,
        priority=5,
        start_at=datetime.now(timezone.utc) + timedelta(hours=1),
        idempotency_key="k",
        headers={"traceparent": "00"},
        version=1,
    )
    status = client.status(run_id)
    assert started == run_id
    assert (status["input"], status["priority"], status["headers"], status["idempotency_key"]) == (
        [1, None],
        5,
        {"traceparent": "00"},
        "k",
    )
    assert client.start_flow("one", idempotency_key="k") == run_id
    with pytest.raises(RunIdTaken):
        client.start_flow("one", run_id=run_id)


def test_an_input_is_by_default_an_empty_object_and_may_be_null(client: Client) -> None:
    client.deploy(ONE)
    assert client.status(client.start_flow("one"))["input"] == {}
    assert client.status(client.start_flow("one", None))["input"] is None


def test_many_runs_are_started_in_the_order_of_their_inputs(client: Client) -> None:
    client.deploy(ONE)
    runs = client.start_flows("one", [{"n": n} for n in range(20)], priority=3)
    assert [client.status(run)["input"]["n"] for run in runs] == list(range(20))
    assert client.status(runs[0])["priority"] == 3
    assert client.start_flows("one", []) == []


def test_an_input_that_is_no_json_says_which(client: Client) -> None:
    with pytest.raises(UnsupportedValue, match="the input cannot be stored as JSON"):
        client.start_flow("one", float("nan"))
    with pytest.raises(UnsupportedValue, match="input 1 cannot be stored as JSON"):
        client.start_flows("one", [1, object()])


def test_a_start_joins_the_callers_transaction(
    client: Client, connect: Callable[..., psycopg.Connection[Any]]
) -> None:
    client.deploy(ONE)
    with connect(autocommit=False, row_factory=psycopg.rows.dict_row) as theirs:
        client.start_flow("one", connection=theirs)
        client.start_flows("one", [1, 2], connection=theirs)
        assert theirs.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        theirs.rollback()
        assert not theirs.closed
        assert count_runs(connect()) == 0

        client.start_flow("one", connection=theirs)
        theirs.commit()
        assert count_runs(connect()) == 1


def test_a_start_joins_a_connection_with_another_kind_of_cursor(
    client: Client, connect: Callable[..., psycopg.Connection[Any]]
) -> None:
    client.deploy(ONE)
    client.start_flow("one", connection=connect(cursor_factory=psycopg.RawCursor))


def test_wait_returns_as_soon_as_the_run_has_ended(
    client: Client, work: Callable[..., Any]
) -> None:
    client.deploy(ONE)
    client.command("a")(lambda run: run * 2)
    run_id = client.start_flow("one", 21)
    work()
    assert client.wait(run_id, timeout=timedelta(seconds=30)) == {"a": 42}


def test_wait_gives_up_after_its_timeout(client: Client) -> None:
    client.deploy(ONE)
    run_id = client.start_flow("one")
    before = time.monotonic()
    with pytest.raises(WaitTimeout) as caught:
        client.wait(run_id, timeout=0.1)
    assert 0.1 <= time.monotonic() - before < 5
    assert caught.value.status == "started"
    assert client.status(run_id)["status"] == "started"


def test_a_cancelled_run_is_told_to_who_waits(client: Client) -> None:
    client.deploy(ONE)
    run_id = client.start_flow("one")
    client.cancel(run_id, "changed my mind")
    client.cancel(run_id)
    with pytest.raises(RunCancelled, match="changed my mind"):
        client.wait(run_id)


def test_threads_may_share_a_client(client: Client, connection: psycopg.Connection[Any]) -> None:
    client.deploy(ONE)
    threads = [threading.Thread(target=client.start_flow, args=("one",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_runs(connection) == 20


def test_a_client_works_on_a_pool_and_leaves_it_open(dsn: str) -> None:
    with ConnectionPool(dsn, min_size=1, max_size=4) as pool:
        with Client(pool) as client:
            client.deploy(ONE)
            client.command("a")(lambda: 1)
            run_id = client.start_flow("one")
            assert client.poll_and_run(until_idle=True) == 1
            assert client.wait(run_id) == {"a": 1}
        with pool.connection() as connection:
            assert count_runs(connection) == 1


@pytest.mark.parametrize("prepare_threshold", [5, None])
def test_calls_are_read_committed_whatever_the_servers_default(
    dsn: str, connection: psycopg.Connection[Any], prepare_threshold: int | None
) -> None:
    name = connection.info.dbname
    connection.execute(
        f"alter database {name} set default_transaction_isolation = 'serializable'".encode()
    )
    # A definition cannot say what it was run in, so a function of the same form does.
    connection.execute("""
        create or replace function quantumflow.status(
          run_id uuid, summary boolean default false, tree boolean default false)
        returns jsonb
        return to_jsonb(current_setting('transaction_isolation'))
    """)
    with Client(dsn, prepare_threshold=prepare_threshold) as client:
        level: object = client.status(uuid4())
        assert level == "read committed"


def test_a_connection_that_died_while_idle_is_replaced(
    client: Client, connection: psycopg.Connection[Any]
) -> None:
    client.deploy(ONE)
    (idle,) = client._connections._places._idle
    connection.execute("select pg_terminate_backend(%s)", (idle.info.backend_pid,))
    wait_until(lambda: not _connections.is_alive(idle))
    client.start_flow("one")
    assert count_runs(connection) == 1


def test_a_connection_that_dies_on_the_way_is_replaced_where_that_is_safe(
    client: Client, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.deploy(ONE)
    run_id = client.start_flow("one")
    # As if the server went away between the look at the connection and its use.
    monkeypatch.setattr(_connections, "is_alive", lambda connection: not connection.closed)

    def kill() -> None:
        (idle,) = client._connections._places._idle
        pid = (idle.info.backend_pid,)
        connection.execute("select pg_terminate_backend(%s)", pid)
        here = "select from pg_stat_activity where pid = %s"
        wait_until(lambda: connection.execute(here, pid).rowcount == 0)

    kill()
    assert client.status(run_id)["status"] == "started"
    kill()
    with pytest.raises(psycopg.OperationalError):
        client.start_flow("one")
    assert count_runs(connection) == 1


def test_a_statement_whose_result_changed_is_repeated(
    client: Client, connection: psycopg.Connection[Any]
) -> None:
    client.deploy(ONE)
    for _ in range(10):  # until psycopg has prepared it
        run_id = client.start_flow("one")
        client.cancel(run_id)
    connection.execute("""
        alter extension quantumflow drop function quantumflow.cancel_run(uuid, text);
        drop function quantumflow.cancel_run(uuid, text);
        create function quantumflow.cancel_run(run_id uuid, reason text)
        returns table (id text, more int) language sql as 'select run_id::text, 1'
    """)
    client.cancel(run_id)
    client.cancel(run_id)


def test_the_environment_says_where(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTUMFLOW_DSN", dsn)
    with Client() as client:
        client.deploy(ONE)
    monkeypatch.delenv("QUANTUMFLOW_DSN")
    for name, value in psycopg.conninfo.conninfo_to_dict(dsn).items():
        monkeypatch.setenv({"dbname": "PGDATABASE"}.get(name, f"PG{name.upper()}"), str(value))
    with Client() as client:
        client.start_flow("one")


def test_what_the_dsn_says_is_not_overruled() -> None:
    arguments = _connections._arguments(
        "host=h connect_timeout=3 options='-c work_mem=1MB' application_name=mine", 5
    )
    assert arguments["connect_timeout"] == "3"
    assert arguments["application_name"] == "mine"
    assert arguments["options"].startswith("-c work_mem=1MB -c default_transaction_isolation")


@pytest.mark.parametrize("forgets", [False, True])
def test_the_path_is_ours_even_where_a_pooler_forgets_it(
    dsn: str, monkeypatch: pytest.MonkeyPatch, forgets: bool
) -> None:
    if forgets:
        monkeypatch.setattr(_sql.session, "SHOW_PATH", "select 'public'")
    asked: Call[str] = Call("select current_setting('search_path')", lambda rows: str(rows[0][0]))

    async def ask() -> str:
        connections = _connections.AsyncConnections(dsn)
        try:
            return await connections.run(asked)
        finally:
            await connections.close()

    connections = _connections.Connections(dsn)
    found = connections.run(asked), connections.run(asked), asyncio.run(ask())
    connections.close()
    assert {path.replace(" ", "") for path in found} == {"pg_catalog,pg_temp"}
