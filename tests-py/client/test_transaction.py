"""What a handler writes in ctx.transaction() commits with its task, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from client.conftest import BackgroundWorker
from quantumflow_client import Client, Context, Flow, LeaseLost
from quantumflow_client._worker.core import Stopping
from support.engine import Engine, allow_test_clock
from support.proxy import Proxy
from support.waiting import wait_until

if TYPE_CHECKING:
    from uuid import UUID

Connection = psycopg.Connection[Any]
Handler = Callable[..., Any]

_PAY = "insert into paid values (%s, %s)"


@pytest.fixture(autouse=True)
def engine(connection: Connection) -> Iterator[Engine]:
    """The engine on a connection of its own, whose rules hold afterwards."""
    connection.execute("create table paid (task text primary key, attempt int)")
    engine = Engine(connection)
    yield engine
    assert engine.problems() == []


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both kinds of handlers."""
    return str(request.param)


def paying(kind: str, then: Callable[[Context], Any] = lambda ctx: ctx.attempt) -> Handler:
    """A handler that pays in its own transaction, and ends as `then` does."""

    def pay(ctx: Context) -> Any:
        with ctx.transaction() as connection:
            connection.execute(_PAY, (ctx.idempotency_key, ctx.attempt))
        return then(ctx)

    async def pay_async(ctx: Context) -> Any:
        async with ctx.transaction() as connection:
            await connection.execute(_PAY, (ctx.idempotency_key, ctx.attempt))
        return await asyncio.to_thread(then, ctx)

    return pay if kind == "sync" else pay_async


def one_step(client: Client, handler: Handler, **settings: Any) -> UUID:
    """Start a run of one step."""
    flow = Flow("one", **{"retry_delay": 0} | settings)
    flow.step("a")(handler)
    client.deploy(flow)
    return client.start_flow("one")


def paid(engine: Engine) -> list[int]:
    """The attempts that paid."""
    return [row[0] for row in engine.rows("select attempt from paid order by task")]


def failures(engine: Engine) -> list[tuple[Any, ...]]:
    return engine.rows("select kind, error_message from quantumflow.task_failures order by attempt")


# Together


@pytest.mark.system
def test_writes_completion_and_what_follows_are_one_transaction(
    client: Client, engine: Engine, kind: str
) -> None:
    seen: list[Any] = []

    def look(ctx: Context) -> dict[str, int]:
        seen.append((paid(engine), engine.task_statuses(ctx.run_id)))
        return {"attempt": ctx.attempt}

    flow = Flow("two", timeout=86400)
    a = flow.step("a")(paying(kind, look))
    flow.step("b", depends_on=[a])(lambda a: a)
    client.deploy(flow)
    run_id = client.start_flow("two")

    assert client.poll_and_run(once=True) == 1
    assert seen == [([], {("a", 0): "started"})]
    assert engine.task_statuses(run_id) == {("a", 0): "completed", ("b", 0): "queued"}
    transactions = engine.rows(
        "select xmin::text from paid"
        " union select xmin::text from quantumflow.step_tasks"
        " union select xmin::text from quantumflow.step_states"
        " union select xmin::text from quantumflow.workflow_runs"
    )
    assert len(transactions) == 1
    assert client.poll_and_run(until_idle=True) == 1
    assert client.wait(run_id) == {"b": {"attempt": 1}}
    assert paid(engine) == [1]


def test_many_transactions_at_once_share_few_connections(
    client: Client, engine: Engine, kind: str
) -> None:
    pids: list[int] = []

    def pay(ctx: Context, item: int) -> int:
        with ctx.transaction() as connection:
            pids.append(connection.info.backend_pid)
            connection.execute(_PAY, (ctx.idempotency_key, item))
            return item

    async def pay_async(ctx: Context, item: int) -> int:
        async with ctx.transaction() as connection:
            pids.append(connection.info.backend_pid)
            await connection.execute(_PAY, (ctx.idempotency_key, item))
            return item

    flow = Flow("many")
    flow.map("each")(pay if kind == "sync" else pay_async)
    client.deploy(flow)
    run_id = client.start_flow("many", list(range(30)))

    assert client.poll_and_run(until_idle=True, concurrency=5) == 30
    assert client.wait(run_id) == {"each": list(range(30))}
    assert sorted(paid(engine)) == list(range(30))
    assert 1 <= len(set(pids)) <= 5


def test_a_callback_has_its_transaction_too(client: Client, engine: Engine) -> None:
    flow = Flow("ending", on_complete=paying("sync"))
    flow.step("a")(lambda: 1)
    client.deploy(flow)
    client.start_flow("ending")
    assert client.poll_and_run(until_idle=True) == 2
    assert paid(engine) == [1]
    assert (
        len(
            engine.rows(
                "select xmin::text from paid union select xmin::text"
                " from quantumflow.step_tasks where step_slug = '_on_complete'"
            )
        )
        == 1
    )


# Not at all


def test_what_a_failed_handler_wrote_is_rolled_back(
    client: Client, engine: Engine, kind: str
) -> None:
    def fail_once(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ValueError("no")
        return ctx.attempt

    run_id = one_step(client, paying(kind, fail_once))
    client.poll_and_run(once=True)
    assert paid(engine) == []
    assert failures(engine) == [("error", "ValueError: no")]
    client.poll_and_run(until_idle=True)
    assert paid(engine) == [2]
    assert client.wait(run_id) == {"a": 2}


def test_a_block_that_raises_is_rolled_back_and_may_be_begun_again(
    client: Client, engine: Engine
) -> None:
    def pay(ctx: Context) -> str:
        for attempt in (7, 8):
            with contextlib.suppress(ZeroDivisionError), ctx.transaction() as connection:
                connection.execute(_PAY, (ctx.idempotency_key, attempt))
                if attempt == 7:
                    raise ZeroDivisionError
        return "fine"

    run_id = one_step(client, pay)
    client.poll_and_run(until_idle=True)
    assert client.wait(run_id) == {"a": "fine"}
    assert paid(engine) == [8]


@pytest.mark.parametrize(
    ("output", "error"),
    [
        ("\0", "PostgreSQL cannot hold the output"),
        (float("nan"), "UnsupportedValue: the output cannot be stored"),
    ],
)
def test_an_output_that_cannot_be_stored_fails_the_task(
    client: Client, engine: Engine, output: Any, error: str
) -> None:
    run_id = one_step(client, paying("sync", lambda _: output), max_attempts=1)
    assert client.poll_and_run(until_idle=True) == 1
    assert client.status(run_id)["status"] == "failed"
    assert error in str(client.status(run_id)["error_message"])
    assert paid(engine) == []


def test_an_output_that_the_database_refuses_fails_the_run(client: Client, engine: Engine) -> None:
    engine.value("select quantumflow.configure('max_output_bytes', '1000')")
    flow = Flow("bad")
    a = flow.step("a")(paying("sync", lambda ctx: ctx.run_input))
    flow.map("b", over=a)(lambda item: item)
    client.deploy(flow)
    for output, code in [("no array", "QF305"), (["x" * 2000], "QF309")]:
        run_id = client.start_flow("bad", output)
        assert client.poll_and_run(until_idle=True) == 1
        assert f"({code})" in str(client.status(run_id)["error_message"])
    assert paid(engine) == []


@pytest.mark.system
def test_why_an_output_is_refused_is_for_the_database_to_say(
    client: Client, engine: Engine, kind: str
) -> None:
    flow = Flow("short")
    flow.map("a", chunk_size=2)(paying(kind, lambda _: [1]))
    client.deploy(flow)
    run_id = client.start_flow("short", ["x", "y"])
    assert client.poll_and_run(until_idle=True) == 1
    why = (
        "the output must be an array of 2, one for each item of the chunk, but is one of 1 (QF305)"
    )
    assert client.status(run_id)["error_message"] == f"step a, task 0: {why}"
    assert failures(engine) == [("error", why)]
    assert paid(engine) == []

    # The same words outside.
    flow = Flow("outside")
    flow.map("a", chunk_size=2)(lambda: [1])
    client.deploy(flow)
    client.start_flow("outside", ["x", "y"])
    assert client.poll_and_run(until_idle=True) == 1
    assert failures(engine) == [("error", why)] * 2


def test_a_transaction_that_is_aborted_is_not_committed(client: Client, engine: Engine) -> None:
    def pay(ctx: Context) -> None:
        with ctx.transaction() as connection:
            connection.execute(_PAY, (ctx.idempotency_key, 1))
            with contextlib.suppress(psycopg.errors.DivisionByZero):
                connection.execute("select 1 / 0")

    one_step(client, pay, max_attempts=1)
    client.poll_and_run(until_idle=True)
    assert "InFailedSqlTransaction" in failures(engine)[0][1]
    assert paid(engine) == []


def test_what_the_commit_refuses_fails_the_attempt(client: Client, engine: Engine) -> None:
    engine.connection.execute(
        "create table owed (task text references paid initially deferred)",
    )

    def pay(ctx: Context) -> int:
        with ctx.transaction() as connection:
            if ctx.attempt == 1:
                connection.execute("insert into owed values ('nobody')")
            connection.execute(_PAY, (ctx.idempotency_key, ctx.attempt))
            return ctx.attempt

    run_id = one_step(client, pay)
    client.poll_and_run(until_idle=True)
    while client.status(run_id)["status"] == "started":
        client.poll_and_run(until_idle=True)
    assert failures(engine)[0][1].startswith("ForeignKeyViolation")
    assert client.wait(run_id) == {"a": 2}
    assert paid(engine) == [2]


# Whose task it is


@pytest.mark.parametrize(
    ("take_away", "state"),
    [
        ("select quantumflow.complete_task(%s, 'a')", "lost"),
        ("select quantumflow.cancel_run(%s)", "cancelled"),
    ],
)
def test_a_lost_lease_refuses_before_the_first_write(
    client: Client,
    engine: Engine,
    caplog: pytest.LogCaptureFixture,
    take_away: str,
    state: str,
    kind: str,
) -> None:
    raised: list[str] = []

    def pay(ctx: Context) -> None:
        engine.value(take_away, ctx.run_id)
        try:
            with ctx.transaction():
                raised.append("nothing")
        except LeaseLost as error:
            raised.append(error.state)

    async def pay_async(ctx: Context) -> None:
        engine.value(take_away, ctx.run_id)
        async with ctx.transaction():
            raised.append("nothing")

    one_step(client, pay if kind == "sync" else pay_async)
    assert client.poll_and_run(until_idle=True) == 1
    assert raised == ([state] if kind == "sync" else [])
    assert failures(engine) == []
    assert "came to nothing" not in caplog.text


@pytest.mark.system
def test_nobody_takes_a_held_task_away(client: Client, engine: Engine) -> None:
    allow_test_clock(engine.connection)
    answers: list[Any] = []

    def meddle(ctx: Context) -> int:
        engine.set_clock(3600 * 24 * 365)
        answers.append(engine.claim())
        answers.append(engine.sweep()["lapsed leases"])
        row = engine.rows(
            "select state from quantumflow.extend_leases(gen_random_uuid(), (select jsonb_agg(t)"
            " from quantumflow.step_tasks t), '30 s')"
        )
        answers.append(row)
        return ctx.attempt

    run_id = one_step(client, paying("sync", meddle))
    client.poll_and_run(until_idle=True)
    assert answers == [[], 0, [("held",)]]
    assert client.wait(run_id) == {"a": 1}
    assert paid(engine) == [1]


def test_a_run_that_is_cancelled_meanwhile_keeps_nothing(client: Client, engine: Engine) -> None:
    def cancel(ctx: Context) -> int:
        engine.cancel(ctx.run_id)
        assert engine.task_statuses(ctx.run_id) == {("a", 0): "started"}
        assert engine.problems() == []
        return 1

    run_id = one_step(client, paying("sync", cancel))
    client.poll_and_run(until_idle=True)
    assert paid(engine) == []
    assert engine.task_statuses(run_id) == {("a", 0): "cancelled"}
    assert failures(engine) == []


# Lost connections


@pytest.fixture
def proxy(dsn: str, connect: Callable[..., Any]) -> Iterator[Proxy]:
    with Proxy(dsn) as proxy:
        yield proxy


@pytest.fixture
def far_client(proxy: Proxy) -> Iterator[Client]:
    """A client on the other side of the proxy."""
    with Client(proxy.dsn) as client:
        yield client


def test_a_commit_whose_answer_is_lost_is_not_repeated(
    far_client: Client, proxy: Proxy, engine: Engine, kind: str
) -> None:
    proxy.cut_after_commit("commit")
    run_id = one_step(far_client, paying(kind))
    assert far_client.poll_and_run(until_idle=True) == 1
    assert proxy.cuts == {"commit": 1}
    assert far_client.wait(run_id) == {"a": 1}
    assert paid(engine) == [1]
    assert failures(engine) == []


def test_a_transaction_that_the_network_swallows_is_repeated(
    client: Client,
    far_client: Client,
    proxy: Proxy,
    engine: Engine,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quantumflow_client._worker.loop._PATIENCE", 0.5)

    def swallow(ctx: Context) -> int:
        if ctx.attempt == 1:
            proxy.swallow()
        return ctx.attempt

    run_id = one_step(far_client, paying(kind, swallow), timeout=86400)
    worker = BackgroundWorker(far_client, lease=timedelta(seconds=1))
    assert client.wait(run_id, timeout=60) == {"a": 2}
    worker.stop()
    assert paid(engine) == [2]
    assert [kind for kind, _ in failures(engine)] == ["lost"]


def test_a_task_whose_connection_broke_is_done_again_when_its_lease_is_over(
    client: Client, engine: Engine
) -> None:
    allow_test_clock(engine.connection)
    broken: list[int] = []

    def terminate(ctx: Context) -> int:
        if ctx.attempt == 1:
            pids = engine.rows(
                "select pid, pg_terminate_backend(pid, 30000) from pg_stat_activity"
                " where state = 'idle in transaction' and datname = current_database()"
            )
            broken.extend(pid for pid, _ in pids)
        return ctx.attempt

    run_id = one_step(client, paying("sync", terminate), timeout=86400)
    client.poll_and_run(until_idle=True)
    assert len(broken) == 1
    assert (paid(engine), failures(engine)) == ([], [])
    assert engine.task_statuses(run_id) == {("a", 0): "started"}

    engine.connection.execute("set quantumflow.now = '2100-01-01'")
    (task,) = engine.claim()
    assert [kind for kind, _ in failures(engine)] == ["lost"]
    assert engine.complete(task, 5) == "completed"
    assert client.wait(run_id) == {"a": 5}


@pytest.mark.system
def test_a_forgotten_transaction_ends_at_the_deadline(client: Client, engine: Engine) -> None:
    pid: list[int] = []

    def is_gone() -> bool:
        query = "select from pg_stat_activity where pid = %s"
        return engine.connection.execute(query, pid).rowcount == 0

    def forget(ctx: Context) -> int:
        with ctx.transaction() as connection:
            connection.execute(_PAY, (ctx.idempotency_key, ctx.attempt))
            if ctx.attempt == 1:
                pid.append(connection.info.backend_pid)
                wait_until(is_gone, what="the server ends the session")
        return ctx.attempt

    run_id = one_step(client, forget, timeout=1)
    client.poll_and_run(once=True)
    assert paid(engine) == []
    wait_until(lambda: client.poll_and_run(until_idle=True), what="the next attempt")
    assert client.wait(run_id) == {"a": 2}
    assert paid(engine) == [2]
    assert [kind for kind, _ in failures(engine)] == ["timeout"]


@pytest.mark.system
def test_a_longer_limit_of_the_session_keeps_no_transaction_open(
    engine: Engine, connect: Callable[..., Connection]
) -> None:
    engine.define("short", [{"name": "a"}], timeout=0.5)
    engine.start("short")
    (task,) = engine.claim()
    holder = connect(autocommit=False)
    holder.execute(
        "select set_config(name, '1h', false) from pg_settings where name in"
        " ('transaction_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout')"
    )
    holder.commit()
    hold = "select quantumflow.hold_task(%s, %s, %s, %s)"
    assert holder.execute(hold, (*task.key, task.lease_token)).fetchone() == ("held",)
    there = "select count(*) from pg_stat_activity where pid = %s"
    pid = holder.info.backend_pid
    wait_until(lambda: engine.value(there, pid) == 0, what="the server ends the session")
    holder.close()


# Connections


def test_a_small_pool_keeps_no_lease_from_being_renewed(
    dsn: str, engine: Engine, short_lease: timedelta
) -> None:
    """One task has the pool's last connection, others wait for it, and all keep their leases."""
    lost: list[int] = []

    def pay(ctx: Context) -> int:
        with ctx.transaction() as connection:
            # When the leases that the claim gave are over, they must have been renewed.
            age = "select max(clock_timestamp() - started_at) from quantumflow.step_tasks"
            wait_until(lambda: engine.value(age) > short_lease * 1.2)
            lost.append(len(engine.claim(10)))
            connection.execute(_PAY, (ctx.idempotency_key, ctx.task_index))
        return ctx.attempt

    with ConnectionPool(dsn, min_size=1, max_size=3, open=True) as pool, Client(pool) as client:
        flow = Flow("many")
        flow.map("each")(pay)
        client.deploy(flow)
        run_id = client.start_flow("many", [1, 2, 3, 4])
        assert client.poll_and_run(until_idle=True, concurrency=4, lease=short_lease) == 4
        assert client.wait(run_id) == {"each": [1, 1, 1, 1]}
    assert sorted(paid(engine)) == [0, 1, 2, 3]
    assert lost == [0, 0, 0, 0]


def test_an_async_handler_needs_no_connection_of_a_pool(dsn: str, engine: Engine) -> None:
    with ConnectionPool(dsn, min_size=1, max_size=2, open=True) as pool, Client(pool) as client:
        run_id = one_step(client, paying("async"))
        client.poll_and_run(until_idle=True)
        assert client.wait(run_id) == {"a": 1}
    assert paid(engine) == [1]


# Misuse


def _message(error: str, call: Callable[[], object]) -> str:
    with pytest.raises(RuntimeError, match=error) as raised:
        call()
    return str(raised.value)


def test_there_is_one_transaction_of_a_task(client: Client, engine: Engine) -> None:
    kept: list[Context] = []

    def pay(ctx: Context) -> int:
        kept.append(ctx)
        with ctx.transaction() as connection:
            with pytest.raises(psycopg.ProgrammingError, match=r"Explicit commit\(\) forbidden"):
                connection.commit()
            connection.execute(_PAY, (ctx.idempotency_key, 1))
        _message("is open", ctx.transaction().__enter__)
        _message("what its handler returns", lambda: ctx.complete(1, connection=connection))
        return 1

    run_id = one_step(client, pay)
    client.poll_and_run(until_idle=True)
    assert client.wait(run_id) == {"a": 1}
    _message("has ended", kept[0].transaction().__enter__)
    _message("handler returns", lambda: kept[0].complete(connection=engine.connection))


def test_the_transaction_is_of_the_handlers_kind(client: Client) -> None:
    def sync(ctx: Context) -> str:
        return _message("write `with", lambda: asyncio.run(ctx.transaction().__aenter__()))

    async def asynchronous(ctx: Context) -> str:
        return _message("write `async with", ctx.transaction().__enter__)

    flow = Flow("kinds")
    flow.step("a")(sync)
    flow.step("b")(asynchronous)
    client.deploy(flow)
    run_id = client.start_flow("kinds")
    client.poll_and_run(until_idle=True)
    assert client.status(run_id)["status"] == "completed"


# The caller's own transaction


def test_a_handler_may_complete_its_task_in_a_transaction_of_its_own(
    client: Client, dsn: str, engine: Engine, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def pay(ctx: Context) -> str:
        with psycopg.connect(dsn) as connection:
            connection.execute(_PAY, (ctx.idempotency_key, 1))
            ctx.complete({"by": "hand"}, connection=connection)
            assert engine.task_statuses(ctx.run_id) == {("a", 0): "started"}
        return "this is not reported"

    async def pay_async(ctx: Context) -> str:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await connection.execute(_PAY, (ctx.idempotency_key, 1))
            await ctx.acomplete({"by": "hand"}, connection=connection)
            assert engine.task_statuses(ctx.run_id) == {("a", 0): "started"}
        return "this is not reported"

    run_id = one_step(client, pay if kind == "sync" else pay_async)
    assert client.poll_and_run(until_idle=True) == 1
    assert client.wait(run_id) == {"a": {"by": "hand"}}
    assert len(engine.rows("select distinct xmin::text from quantumflow.step_tasks")) == 1
    assert paid(engine) == [1]
    assert caplog.text == ""


def test_a_caller_that_rolls_back_loses_the_lease(client: Client, dsn: str, engine: Engine) -> None:
    allow_test_clock(engine.connection)

    def pay(ctx: Context) -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute(_PAY, (ctx.idempotency_key, 1))
            ctx.complete(connection=connection)
            connection.rollback()

    run_id = one_step(client, pay, timeout=86400)
    client.poll_and_run(until_idle=True)
    assert engine.task_statuses(run_id) == {("a", 0): "started"}
    engine.connection.execute("set quantumflow.now = '2100-01-01'")
    assert len(engine.claim()) == 1
    assert [kind for kind, _ in failures(engine)] == ["lost"]
    assert paid(engine) == []


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("stale", "the lease is not the caller's"),
        ("duplicate", "this attempt was reported before"),
        ("run_ended", "its run was cancelled"),
    ],
)
def test_what_cannot_be_completed_raises(
    client: Client, dsn: str, engine: Engine, why: str, words: str
) -> None:
    raised: list[LeaseLost] = []

    def pay(ctx: Context) -> None:
        if why == "stale":
            engine.value("update quantumflow.step_tasks set lease_token = 1 returning 1")
        elif why == "duplicate":
            engine.value("select quantumflow.complete_task(%s, 'a')", ctx.run_id)
        else:
            engine.cancel(ctx.run_id)
        with psycopg.connect(dsn) as connection:
            connection.execute(_PAY, (ctx.idempotency_key, 1))
            try:
                ctx.complete(connection=connection)
            except LeaseLost as error:
                raised.append(error)
                raise

    one_step(client, pay)
    client.poll_and_run(until_idle=True)
    (error,) = raised
    assert error.state == why
    assert words in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert (paid(engine), failures(engine)) == ([], [])


def test_what_the_database_refuses_in_the_callers_transaction_is_not_tried_again(
    client: Client, dsn: str, engine: Engine
) -> None:
    engine.value("select quantumflow.configure('max_output_bytes', '1000')")

    def pay(ctx: Context) -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute(_PAY, (ctx.idempotency_key, 1))
            ctx.complete(ctx.run_input, connection=connection)

    flow = Flow("bad", retry_delay=0)
    a = flow.step("a")(pay)
    flow.map("b", over=a)(lambda item: item)
    client.deploy(flow)
    for output, code in [("no array", "QF305"), (["x" * 2000], "QF309")]:
        run_id = client.start_flow("bad", output)
        assert client.poll_and_run(until_idle=True) == 1
        assert f"({code})" in str(client.status(run_id)["error_message"])
    assert paid(engine) == []


# Stopping


def test_a_cancelled_async_handler_rolls_back(
    client: Client, engine: Engine, short_lease: timedelta, work: Callable[..., Any]
) -> None:
    begun = threading.Event()

    async def pay(ctx: Context) -> None:
        async with ctx.transaction() as connection:
            await connection.execute(_PAY, (ctx.idempotency_key, 1))
            begun.set()
            await asyncio.sleep(3600)

    run_id = one_step(client, pay, timeout=86400)
    worker = work(lease=short_lease, until_idle=True)
    assert begun.wait(30)
    engine.cancel(run_id)
    assert worker.join() == 1
    assert paid(engine) == []
    assert engine.task_statuses(run_id) == {("a", 0): "cancelled"}


def test_a_worker_that_must_end_rolls_back_and_hands_back(
    client: Client, engine: Engine, work: Callable[..., Any]
) -> None:
    begun = threading.Event()

    async def pay(ctx: Context) -> None:
        async with ctx.transaction() as connection:
            await connection.execute(_PAY, (ctx.idempotency_key, 1))
            begun.set()
            await asyncio.sleep(3600)

    run_id = one_step(client, pay)
    worker = work()
    assert begun.wait(30)
    for running in client._workers:
        running.stop(Stopping.NOW)
    worker.join()
    assert paid(engine) == []
    assert engine.task_statuses(run_id) == {("a", 0): "queued"}
    assert engine.value("select attempts from quantumflow.step_tasks") == 0


def test_a_stopping_worker_commits_what_runs(
    client: Client, engine: Engine, work: Callable[..., Any]
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(ctx: Context) -> int:
        begun.set()
        go_on.wait(30)
        return ctx.attempt

    run_id = one_step(client, paying("sync", wait))
    worker = work()
    assert begun.wait(30)
    client.stop()
    go_on.set()
    assert worker.join() == 1
    assert client.wait(run_id) == {"a": 1}
    assert paid(engine) == [1]
