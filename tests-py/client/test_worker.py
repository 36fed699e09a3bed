"""Workers at work: handlers, failures, leases, lost servers and signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from quantumflow_client import Client, Context, Flow, PermanentError, RetryAfter, RunFailed
from quantumflow_client._sql.tasks import Spent
from quantumflow_client.errors import UnknownQueue
from support.engine import Engine
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

Connection = psycopg.Connection[Any]
Work = Callable[..., Any]


def one_step(client: Client, handler: Callable[..., Any], **settings: Any) -> str:
    """Deploy a workflow of one step."""
    flow = Flow("one", retry_delay=0, **settings)
    flow.step("a")(handler)
    client.deploy(flow)
    return "one"


def task(connection: Connection, run_id: UUID) -> dict[str, Any]:
    """The run's task that was made first."""
    cursor = psycopg.Cursor(connection, row_factory=psycopg.rows.dict_row)
    row = cursor.execute(
        "select * from quantumflow.step_tasks where run_id = %s order by queued_at limit 1",
        (run_id,),
    ).fetchone()
    assert row is not None
    return row


def failures(connection: Connection, run_id: UUID) -> list[tuple[Any, ...]]:
    """The kind and message of each failed attempt."""
    return connection.execute(
        "select kind, error_message from quantumflow.task_failures"
        " where run_id = %s order by attempt",
        (run_id,),
    ).fetchall()


@pytest.fixture(autouse=True)
def consistent(connection: Connection) -> Iterator[None]:
    """Whatever a worker did, the database's rules hold afterwards."""
    yield
    assert connection.execute("select * from quantumflow.check_state()").fetchall() == []


# Handlers


def test_sync_and_async_handlers_work_side_by_side(client: Client) -> None:
    flow = Flow("both")

    @flow.step
    def numbers(run: dict[str, int]) -> list[int]:
        return list(range(run["n"]))

    @flow.map(over=numbers)
    async def double(item: int, index: int, run: dict[str, int], ctx: Context) -> int:
        await asyncio.sleep(0)
        assert await ctx.aoutput_of("numbers") == list(range(run["n"]))
        assert await ctx.arun_input() == run
        return item + index

    @flow.step(depends_on=[double])
    async def total(double: list[int]) -> int:
        return sum(double)

    client.deploy(flow)
    run_id = client.start_flow("both", {"n": 30})
    assert client.poll_and_run(until_idle=True, concurrency=7) == 32
    assert client.wait(run_id) == {"total": 870}


def test_as_many_handlers_run_at_once_as_there_are_slots(client: Client) -> None:
    barrier = threading.Barrier(5)
    flow = Flow("wide")
    flow.map("a")(lambda: barrier.wait(30))
    client.deploy(flow)
    run_id = client.start_flow("wide", [0] * 10)
    assert client.poll_and_run(until_idle=True, concurrency=5) == 10
    assert sorted(client.wait(run_id)["a"]) == sorted([*range(5)] * 2)


def test_once_runs_one_batch(client: Client) -> None:
    flow = Flow("wide")
    flow.map("a")(lambda item: item)
    client.deploy(flow)
    client.start_flow("wide", [1, 2, 3, 4, 5])
    assert client.poll_and_run(once=True, concurrency=3) == 3
    assert client.poll_and_run(once=True, concurrency=3) == 2
    assert client.poll_and_run(once=True, concurrency=3) == 0


def count_inputs(input: dict[str, Any]) -> int:  # noqa: A002
    return len(input)


def test_until_idle_waits_for_what_others_have_left_to_other_code(
    client: Client, connection: Connection
) -> None:
    others, done = Engine(connection), []
    client.deploy({"slug": "one", "steps": [{"name": "a"}]})
    client.deploy({"slug": "two", "steps": [{"name": "b"}]})

    @client.command("a")
    def leave() -> None:
        client.start_flow("two")
        (task,) = others.claim(commands=["b"])
        reports = Jsonb([task.report(reason="it is of another version")])
        assert others.value("select quantumflow.release_tasks(%s)", reports) == 1
        # As it is hidden when it has been there for a while.
        connection.execute("update pgmq.q_quantum_flow_queue set vt = clock_timestamp() + '1 s'")

    @client.command("b")
    def do() -> None:
        done.append("b")

    client.start_flow("one")
    assert client.poll_and_run(until_idle=True, concurrency=1, prefetch=0) == 2
    assert done == ["b"]


def test_until_idle_runs_a_chain_to_its_end(client: Client) -> None:
    flow = Flow("chain")
    flow.step("s0")(lambda: 0)
    for n in range(1, 10):
        flow.step(f"s{n}", depends_on=[f"s{n - 1}"])(count_inputs)
    client.deploy(flow)
    run_id = client.start_flow("chain")
    assert client.poll_and_run(until_idle=True) == 10
    assert client.wait(run_id, timeout=0) == {"s9": 2}


def test_only_the_commands_asked_for_are_served(client: Client) -> None:
    one_step(client, lambda: 1)
    client.command("other")(lambda: 2)
    client.deploy({"slug": "two", "steps": [{"name": "x", "command": "other"}]})
    first, second = client.start_flow("one"), client.start_flow("two")
    assert client.poll_and_run(until_idle=True, commands=["other"]) == 1
    assert client.status(first)["status"] == "started"
    assert client.status(second)["status"] == "completed"


@pytest.mark.parametrize("command", ["a,b", "{a}", 'a"b', "a\\b", "null", "größe", "a b"])
def test_a_command_of_any_characters_is_served(client: Client, command: str) -> None:
    client.command(command)(lambda: 1)
    client.deploy({"slug": "one", "steps": [{"name": "a", "command": command}]})
    client.start_flow("one")
    assert client.poll_and_run(until_idle=True) == 1


def test_only_the_queues_asked_for_are_served(client: Client) -> None:
    one_step(client, lambda: 1, queue="slow")
    client.deploy({"slug": "two", "steps": [{"name": "a", "command": "one.a"}]})
    slow, usual = client.start_flow("one"), client.start_flow("two")
    assert client.poll_and_run(until_idle=True) == 1
    assert client.status(slow)["status"] == "completed"
    assert client.poll_and_run(until_idle=True, queues=["quantum_flow_queue"]) == 1
    assert client.status(usual)["status"] == "completed"
    with pytest.raises(UnknownQueue):
        client.poll_and_run(queues=["nowhere"], until_idle=True)


def test_a_queue_that_is_dropped_and_made_again_ends_no_worker(
    client: Client, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    one_step(client, lambda: 1)
    first = client.start_flow("one")
    worker = threading.Thread(target=client.poll_and_run)
    worker.start()
    client.wait(first, timeout=30)
    connection.execute("select pgmq.drop_queue('quantum_flow_queue')")
    wait_until(lambda: "the worker waits for a queue" in caplog.text)
    client.deploy({"slug": "two", "steps": [{"name": "a", "command": "one.a"}]})
    assert client.wait(client.start_flow("one"), timeout=30) == {"a": 1}
    client.stop()
    worker.join(30)
    assert not worker.is_alive()


def test_a_callback_is_handled_like_a_step(client: Client) -> None:
    told: list[Any] = []
    one_step(
        client,
        lambda: 1 / 0,
        max_attempts=1,
        on_failure=lambda run, error: told.append((run, error)),
    )
    client.start_flow("one", 5)
    client.poll_and_run(until_idle=True)
    ((run, error),) = told
    assert run == 5
    assert "division by zero" in str(error)


def test_a_worker_is_there_for_people_who_look(client: Client, connection: Connection) -> None:
    one_step(client, lambda: 1)
    client.poll_and_run(once=True, name="mine")
    client.poll_and_run(once=True)
    rows = connection.execute(
        "select name, commands, queues, stopped_at is not null from quantumflow.workers"
        " order by started_at"
    ).fetchall()
    assert rows[0] == ("mine", ["one.a"], ["quantum_flow_queue"], True)
    assert rows[1][0].endswith(f":{os.getpid()}")


def test_the_first_connection_must_succeed() -> None:
    client = Client("host=/nowhere")
    client.command("a")(lambda: 1)
    with pytest.raises(psycopg.OperationalError):
        client.poll_and_run()


# Failures


def test_a_failed_attempt_is_repeated(client: Client, connection: Connection) -> None:
    def handler(ctx: Context) -> int:
        if ctx.attempt < 3:
            raise ValueError(f"attempt {ctx.attempt}")
        return ctx.attempt

    run_id = client.start_flow(one_step(client, handler, max_attempts=3))
    while client.status(run_id)["status"] == "started":
        client.poll_and_run(until_idle=True)
    assert client.wait(run_id) == {"a": 3}
    assert failures(connection, run_id) == [
        ("error", "ValueError: attempt 1"),
        ("error", "ValueError: attempt 2"),
    ]
    details = connection.execute("select error_details from quantumflow.task_failures").fetchone()
    assert details is not None
    assert details[0]["type"] == "ValueError"
    assert 'raise ValueError(f"attempt' in details[0]["traceback"]


def test_a_permanent_error_fails_the_run_at_once(client: Client, connection: Connection) -> None:
    def handler() -> None:
        raise PermanentError("no such order")

    run_id = client.start_flow(one_step(client, handler))
    client.poll_and_run(until_idle=True)
    with pytest.raises(RunFailed, match="PermanentError: no such order"):
        client.wait(run_id)
    assert len(failures(connection, run_id)) == 1


def test_retry_after_chooses_the_delay(client: Client, connection: Connection) -> None:
    def handler() -> None:
        raise RetryAfter(timedelta(hours=5), "come back")

    run_id = client.start_flow(one_step(client, handler))
    assert client.poll_and_run(until_idle=True) == 1
    row = connection.execute(
        "select queued_at - now() between '4:59' and '5:00' from quantumflow.step_tasks"
    ).fetchone()
    assert row == (True,)
    assert client.status(run_id)["status"] == "started"


async def raise_system_exit_later() -> None:
    raise SystemExit(3)


def raise_keyboard_interrupt() -> None:
    raise KeyboardInterrupt


def raise_system_exit() -> None:
    raise SystemExit(3)


async def cancel_itself() -> None:
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    await asyncio.sleep(0)


def recurse() -> None:
    recurse()


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (raise_system_exit, "SystemExit"),
        (raise_system_exit_later, "SystemExit"),
        (raise_keyboard_interrupt, "KeyboardInterrupt"),
        (cancel_itself, "CancelledError"),
        (recurse, "RecursionError"),
    ],
)
def test_a_worker_survives_whatever_a_handler_raises(
    client: Client, connection: Connection, handler: Callable[..., Any], name: str
) -> None:
    run_id = client.start_flow(one_step(client, handler, max_attempts=2))
    while client.status(run_id)["status"] == "started":
        client.poll_and_run(until_idle=True)
    attempts = failures(connection, run_id)
    assert len(attempts) == 2
    assert all(message.startswith(name) for _, message in attempts)


def test_what_the_code_cannot_do_is_left_to_code_that_can(
    client: Client, dsn: str, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    client.command("a")(lambda validate: validate)
    with Client(dsn) as other:
        other.deploy({"slug": "one", "max_attempts": 1, "steps": [{"name": "a"}]})
        runs = client.start_flows("one", [1, 2, 3])
        for _ in range(2):
            assert client.poll_and_run(until_idle=True) == 0
        said = [r.getMessage() for r in caplog.records if "left to other code" in r.getMessage()]
        assert said == 2 * [
            (
                "tasks of step 'a' of flow 'one', version 1, are left to other code: the handler "
                "of 'a' asks for 'validate', and the task's input has 'run'"
            )
        ], "once a worker"
        left = task(connection, runs[0])
        assert (left["status"], left["attempts"]) == ("queued", 0)
        assert left["error_message"].startswith("left to other code: the handler of 'a' asks for")
        other.command("a")(lambda run: run)
        assert other.poll_and_run(until_idle=True) == 3
    assert [client.wait(run)["a"] for run in runs] == [1, 2, 3]


def test_a_handler_that_its_flow_can_never_call_is_refused(client: Client) -> None:
    client.command("a")(lambda validate: validate)
    with pytest.raises(TypeError, match="step 'a' asks for 'validate': a single step"):
        client.deploy({"slug": "one", "steps": [{"name": "a"}]})
    client.deploy({"slug": "two", "steps": [{"name": "b"}]})
    with pytest.raises(TypeError, match="step 'b' asks for 'item'"):
        client.command("b")(lambda item: item)


def test_an_input_that_python_cannot_read_fails_only_its_own_task(
    client: Client, connection: Connection
) -> None:
    one_step(client, lambda run: run, max_attempts=1)
    connection.execute("select quantumflow.start_flow('one', repeat('9', 6000)::jsonb)")
    row = connection.execute("select id from quantumflow.workflow_runs").fetchone()
    assert row is not None
    fine = client.start_flow("one", 1)
    client.poll_and_run(until_idle=True)
    assert client.wait(fine) == {"a": 1}
    ((_, message),) = failures(connection, row[0])
    assert message.startswith("UnsupportedValue: the task's input cannot be read by Python")


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (float("nan"), "cannot be stored as JSON"),
        ({"a": ["nul \0"]}, "PostgreSQL cannot hold the output: output.a[0] has the character"),
        ("half a smiley \ud83d", "the output: output has the character U+D83D"),
        (10**5000, "cannot be stored as JSON"),
        ([object()], "cannot be stored as JSON at [0]: Object of type object"),
    ],
    ids=["NaN", "NUL", "surrogate", "huge", "object"],
)
def test_a_value_that_cannot_be_stored_fails_its_own_attempt_and_nobody_elses(
    client: Client, connection: Connection, output: Any, problem: str
) -> None:
    everybody_waits = threading.Barrier(51)

    def handler(run: int, ctx: Context) -> Any:
        if ctx.attempt == 1:
            everybody_waits.wait(30)
        return output if run == 17 and ctx.attempt == 1 else run

    runs = client.start_flows(one_step(client, handler), range(51))
    while client.status(runs[17], summary=True)["status"] == "started":
        client.poll_and_run(until_idle=True, concurrency=51)
    ((_, message),) = failures(connection, runs[17])
    assert problem in message
    assert all(client.wait(run, timeout=0) is not None for run in runs)


def test_an_error_that_cannot_be_stored_is_cleaned(client: Client, connection: Connection) -> None:
    def handler() -> None:
        raise ValueError("nul \0, surrogate \ud800, " + "x" * 100_000)

    run_id = client.start_flow(one_step(client, handler, max_attempts=1))
    client.poll_and_run(until_idle=True)
    ((kind, message),) = failures(connection, run_id)
    assert kind == "error"
    assert message.startswith("ValueError: nul \ufffd, surrogate \ufffd, xxx")
    assert len(message) <= 8_000


def test_a_handlers_failure_is_logged_with_its_task(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = client.start_flow(one_step(client, lambda: 1 / 0, max_attempts=1))
    client.poll_and_run(until_idle=True)
    (record,) = [r for r in caplog.records if "division by zero" in r.getMessage()]
    assert record.name == "quantumflow_client"
    assert record.levelno == logging.WARNING
    assert record.exc_info
    assert (record.run_id, record.step_slug, record.attempt) == (run_id, "a", 1)  # type: ignore[attr-defined]


def said(caplog: pytest.LogCaptureFixture, text: str) -> logging.LogRecord:
    """The only record whose message begins so."""
    (record,) = [r for r in caplog.records if r.getMessage().startswith(text)]
    return record


def test_a_failure_is_a_line_that_says_when_it_is_tried_again(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(ctx: Context) -> None:
        if ctx.attempt == 1:
            raise RetryAfter(0, "busy")
        raise PermanentError("closed")

    run_id = client.start_flow(one_step(client, fails))
    while client.status(run_id)["status"] == "started":
        client.poll_and_run(until_idle=True)
    task = f"one.a of run {run_id} failed, attempt "
    first = said(caplog, task + "1 of 3, the next attempt comes in 0.0 s: RetryAfter: busy")
    last = said(caplog, task + "2 of 3, for good: PermanentError: closed")
    assert first.exc_info
    assert last.exc_info
    assert len(caplog.records) == 2


def test_a_worker_says_what_it_works_on_and_what_it_did(
    client: Client, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.start_flows(one_step(client, lambda run: 1 / run, max_attempts=1), [0, 1, 2])
    client.poll_and_run(until_idle=True, name="me", concurrency=3)
    info = connection.info
    where = f'database "{info.dbname}" at {info.host}:{info.port} as "{info.user}"'
    begins = said(caplog, f"worker me works on {where}: flows one; commands one.a; queues quantum_")
    assert f"; 3 handlers at a time, in process {os.getpid()}" in begins.getMessage()
    ends = said(caplog, "worker me ends after ")
    assert ends.getMessage().endswith(": 3 tasks run (2 completed, 1 failed)")


def test_a_cancelled_run_is_no_trouble(
    client: Client, work: Work, short_lease: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    has_begun = threading.Event()

    async def waits() -> None:
        has_begun.set()
        await asyncio.sleep(60)

    run_id = client.start_flow(one_step(client, waits))
    worker = work(lease=short_lease)
    has_begun.wait(30)
    client.cancel(run_id)
    wait_until(lambda: "is dropped" in caplog.text)
    worker.stop()
    said(caplog, f"one.a of run {run_id} must stop: its run was stopped")
    said(caplog, f"one.a of run {run_id} is dropped: its run was cancelled")
    assert [r for r in caplog.records if r.levelno > logging.INFO or r.exc_info] == []


# Leases


def wait_for_changes(look: Callable[[], Any], count: int) -> None:
    """Look until there were so many different answers."""
    seen: set[Any] = set()

    def look_again() -> bool:
        seen.add(look())
        return len(seen) > count

    wait_until(look_again)


def expiry(connection: Connection) -> Any:
    """Until when the only message is leased."""
    row = connection.execute("select vt from pgmq.q_quantum_flow_queue").fetchone()
    return row and row[0]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_slow_handler_keeps_its_lease(
    client: Client, connection: Connection, work: Work, short_lease: timedelta, is_async: bool
) -> None:
    may_end = threading.Event()

    async def slow_async() -> str:
        await asyncio.to_thread(may_end.wait, 30)
        return "done"

    def slow() -> str:
        may_end.wait(30)
        return "done"

    run_id = client.start_flow(one_step(client, slow_async if is_async else slow, max_lost=1))
    work(lease=short_lease)
    wait_for_changes(lambda: expiry(connection), 4)
    may_end.set()
    assert client.wait(run_id, timeout=30) == {"a": "done"}
    assert task(connection, run_id)["losses"] == 0


def test_leases_are_extended_while_a_report_waits(
    client: Client, connect: Callable[..., Connection], work: Work, short_lease: timedelta
) -> None:
    looking, holding = connect(), connect(autocommit=False)
    may_end = threading.Event()
    flow = Flow("two")
    flow.step("slow")(lambda: may_end.wait(30))
    flow.step("quick")(lambda: None)
    client.deploy(flow)
    run_id = client.start_flow("two")
    wait_for = "select from quantumflow.step_states where step_slug = 'quick' for update"
    holding.execute(wait_for)
    work(lease=short_lease)
    reporting = (
        "select from pg_stat_activity where query like '%complete_and_claim%'"
        " and wait_event_type = 'Lock' and datname = current_database()"
    )
    wait_until(lambda: looking.execute(reporting).rowcount)
    slow = "select vt from pgmq.q_quantum_flow_queue where message ->> 'step_name' = 'slow'"
    wait_for_changes(lambda: looking.execute(slow).fetchone(), 3)
    assert looking.execute(reporting).rowcount
    holding.rollback()
    may_end.set()
    client.wait(run_id, timeout=30)


def test_a_heartbeat_extends_the_lease_at_once(client: Client, connection: Connection) -> None:
    def handler(ctx: Context) -> bool:
        before = expiry(connection)
        held = ctx.heartbeat()
        return held and expiry(connection) > before

    run_id = client.start_flow(one_step(client, handler))
    client.poll_and_run(until_idle=True)
    assert client.wait(run_id) == {"a": True}


def test_the_handlers_of_a_cancelled_run_are_told(
    client: Client, work: Work, short_lease: timedelta
) -> None:
    begun = threading.Barrier(3)
    told: list[str] = []

    def slow(ctx: Context) -> None:
        begun.wait(30)
        wait_until(lambda: ctx.cancelled)
        assert not ctx.heartbeat()
        told.append("sync")

    async def slow_async() -> None:
        await asyncio.to_thread(begun.wait, 30)
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            told.append("async")
            raise

    flow = Flow("two")
    flow.step("a")(slow)
    flow.step("b")(slow_async)
    client.deploy(flow)
    run_id = client.start_flow("two")
    worker = work(lease=short_lease)
    begun.wait(30)
    client.cancel(run_id)
    wait_until(lambda: len(told) == 2)
    assert worker.stop() == 2
    assert client.status(run_id)["status"] == "cancelled"


def test_a_heartbeat_says_when_the_task_is_lost(client: Client) -> None:
    answers = []

    def handler(ctx: Context) -> None:
        client.cancel(ctx.run_id)
        answers.append(ctx.heartbeat())
        answers.append(ctx.cancelled)

    client.start_flow(one_step(client, handler))
    client.poll_and_run(until_idle=True)
    assert answers == [False, True]


@pytest.mark.parametrize(
    ("lease", "timeout"), [(30.0, 0.5), (1.0, 2.0)], ids=["timeout < lease", "timeout > lease"]
)
def test_a_handler_is_told_when_its_deadline_passes(
    client: Client, connection: Connection, lease: float, timeout: float
) -> None:
    told: list[str] = []

    async def handler() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    run_id = client.start_flow(one_step(client, handler, timeout=timeout, max_attempts=1))
    assert client.poll_and_run(until_idle=True, lease=timedelta(seconds=lease)) == 1
    assert told == ["cancelled"]
    # Whoever came first: the report, or somebody who noticed.
    wait_until(
        lambda: client.poll_and_run(once=True) or client.status(run_id)["status"] == "failed"
    )
    ((kind, message),) = failures(connection, run_id)
    assert kind == "timeout"
    assert message.startswith("timed out after 00:00:0")


def test_what_a_handler_raises_when_it_is_told_of_its_deadline_is_a_timeout(
    client: Client, connection: Connection
) -> None:
    def handler(ctx: Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.0005)
        raise ValueError("too late")

    runs = [one_step(client, handler, timeout=0.3, max_attempts=1)] * 8
    started = [client.start_flow(slug) for slug in runs]
    client.poll_and_run(until_idle=True, concurrency=8)
    wait_until(
        lambda: (
            client.poll_and_run(once=True)
            or {client.status(run_id)["status"] for run_id in started} == {"failed"}
        )
    )
    kinds = [kind for run_id in started for kind, _ in failures(connection, run_id)]
    assert kinds == ["timeout"] * 8


# What an attempt took


def test_a_task_began_when_its_handler_did(
    client: Client, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    took: dict[str, list[float]] = {}
    told: list[float | None] = []
    fields = Spent.fields

    def telling(self: Spent) -> str:
        told.append(self.seconds)
        return fields(self)

    monkeypatch.setattr(Spent, "fields", telling)

    def work(ctx: Context) -> None:
        began = time.monotonic()
        time.sleep(0.03)
        ctx.usage(tokens=2)
        ctx.usage(tokens=3, dollars=0.5)
        took.setdefault(ctx.step_slug, []).append(time.monotonic() - began)

    def returns(ctx: Context) -> None:
        work(ctx)

    async def returns_async(ctx: Context) -> None:
        work(ctx)

    def raises(ctx: Context) -> None:
        work(ctx)
        if ctx.attempt == 1:
            raise ValueError("no")

    def in_a_transaction(ctx: Context) -> None:
        with ctx.transaction():
            work(ctx)

    async def in_an_async_transaction(ctx: Context) -> None:
        async with ctx.transaction():
            work(ctx)

    def completes(ctx: Context) -> None:
        work(ctx)
        with psycopg.connect(connection.info.dsn) as mine:
            ctx.complete(connection=mine)

    def chunks(items: list[int], ctx: Context) -> list[int]:
        work(ctx)
        return items

    flow = Flow("all", retry_delay=0)
    for handler in (
        returns,
        returns_async,
        raises,
        in_a_transaction,
        in_an_async_transaction,
        completes,
    ):
        flow.step(handler.__name__)(handler)
    flow.map("chunks", chunk_size=2)(chunks)
    client.deploy(flow)
    client.start_flow("all", [1, 2, 3])
    client.poll_and_run(until_idle=True, concurrency=1)

    rows = connection.execute(
        "select step_slug, extract(epoch from completed_at - started_at)::float"
        " from quantumflow.step_tasks union all"
        " select step_slug, extract(epoch from ended_at - started_at)::float"
        " from quantumflow.task_failures"
    ).fetchall()
    assert len(rows) == sum(map(len, took.values())) == 9
    for slug, seconds in rows:
        assert seconds >= min(took[slug]) - 0.001
    assert sorted(seconds for _, seconds in rows) == pytest.approx(
        sorted(seconds or 0 for seconds in told), abs=2e-6
    )
    used = connection.execute(
        "select name, sum(amount), count(distinct (step_slug, task_index, attempt))"
        " from quantumflow.attempt_usage group by 1 order by 1"
    ).fetchall()
    assert used == [("dollars", 4.5, 9), ("tokens", 45, 9)]


def test_what_waits_in_a_worker_has_not_begun(client: Client, connection: Connection) -> None:
    flow = Flow("wide")
    flow.map("a")(lambda: None)
    client.deploy(flow)
    client.start_flow("wide", [0] * 500)
    began = time.monotonic()
    client.poll_and_run(until_idle=True, concurrency=1)
    whole = time.monotonic() - began
    # One after the other, and claimed many at once.
    (worked,) = connection.execute(
        "select extract(epoch from sum(completed_at - started_at))::float"
        " from quantumflow.step_tasks"
    ).fetchone() or (0,)
    assert 0 < worked < whole


@pytest.mark.parametrize(
    "amounts",
    [{"a": -1}, {"a": float("nan")}, {"a": float("inf")}, {"a": 10**400}, {"a": "1"}, {"ä": 1}],
    ids=str,
)
def test_what_cannot_have_been_used_is_refused(
    client: Client, connection: Connection, amounts: dict[str, Any]
) -> None:
    def handler(ctx: Context) -> None:
        with pytest.raises(ValueError, match="cannot have been used"):
            ctx.usage(b=1, **amounts)

    run_id = client.start_flow(one_step(client, handler))
    client.poll_and_run(until_idle=True)
    assert client.status(run_id)["status"] == "completed"
    assert task(connection, run_id)["usage"] is None


def test_a_callback_is_told_what_failed(client: Client) -> None:
    told: list[Any] = []
    flow = Flow("sad", on_failure=lambda error, failure: told.append((error, failure)))

    @flow.step
    def a() -> None:
        raise PermanentError("no")

    client.deploy(flow)
    client.start_flow("sad")
    client.poll_and_run(until_idle=True)
    failure = {
        "message": "PermanentError: no",
        "step_slug": "a",
        "task_index": 0,
        "attempt": 1,
        "kind": "error",
    }
    assert told == [("step a: PermanentError: no", failure)]


def test_what_was_completed_and_runs_again_has_another_key(client: Client) -> None:
    keys: list[tuple[str, int]] = []

    def charge(ctx: Context) -> None:
        keys.append((ctx.idempotency_key, ctx.retries))
        if len(keys) < 3:
            raise ValueError("no")

    run_id = client.start_flow(one_step(client, charge, max_attempts=1))
    client.poll_and_run(until_idle=True)
    for from_step in (None, None, "a", "a"):
        client.retry(run_id, from_step=from_step)
        client.poll_and_run(until_idle=True)
    key = f"{run_id}/a/0"
    assert keys == [(key, 0), (key, 1), (key, 2), (f"{key}/3", 3), (f"{key}/4", 4)]


def test_a_worker_that_cannot_extend_its_leases_tells_its_handlers(
    client: Client, connection: Connection, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()

    def handler(ctx: Context) -> None:
        wait_until(lambda: ctx.cancelled)
        told.set()

    run_id = client.start_flow(one_step(client, handler))

    def unreachable(self: object, tasks: object, run: object) -> None:
        raise psycopg.OperationalError("no route to host")

    monkeypatch.setattr("quantumflow_client._worker.renewal.Renewal.extend", unreachable)
    work(lease=timedelta(seconds=0.5), concurrency=1, prefetch=0)
    assert told.wait(30)
    # Nobody else took it, and its worker has no second place: the late result counts.
    assert client.wait(run_id, timeout=30) == {"a": None}
    assert task(connection, run_id)["losses"] == 0


def test_the_result_of_a_lost_task_changes_nothing(
    client: Client, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(ctx: Context) -> int:
        if ctx.attempt == 1:
            # As if the lease had run out and another worker had taken the task.
            connection.execute("update quantumflow.step_tasks set lease_token = 1")
        return ctx.attempt

    run_id = client.start_flow(one_step(client, handler))
    assert client.poll_and_run(once=True) == 1
    assert "came to nothing: stale: the lease is not" in caplog.text
    assert client.status(run_id)["status"] == "started"
    assert connection.execute(
        "select quantumflow.complete_task(%s, 'a', 0, '2', 1)", (run_id,)
    ).fetchone() == ("completed",)


# Lost servers


def others(connection: Connection) -> list[int]:
    """The other sessions of the database."""
    rows = connection.execute(
        "select pid from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and backend_type = 'client backend'"
    ).fetchall()
    return [pid for (pid,) in rows]


def test_a_worker_connects_again_and_reports_what_it_could_not(
    client: Client, connection: Connection, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    begun, may_end = threading.Event(), threading.Event()

    def handler() -> str:
        begun.set()
        may_end.wait(30)
        return "kept"

    run_id = client.start_flow(one_step(client, handler, max_lost=1, max_attempts=1))
    worker = work()
    assert begun.wait(30)
    killed = others(connection)
    for pid in killed:
        connection.execute("select pg_terminate_backend(%s)", (pid,))
    wait_until(lambda: not set(killed) & set(others(connection)))
    may_end.set()
    assert client.wait(run_id, timeout=30) == {"a": "kept"}
    assert worker.stop() == 1
    assert "connected again" in caplog.text


def test_a_deadlocked_report_is_repeated(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from quantumflow_client import _sql
    from quantumflow_client._connections import Session

    caplog.set_level(logging.INFO)
    call, posts = Session.ask, []

    def deadlocked_once(self: Session, asked: Any) -> Any:
        if asked.statement == _sql.STATEMENTS["complete_and_claim"]:
            posts.append(asked)
            if len(posts) == 1:
                raise psycopg.errors.DeadlockDetected("deadlock detected")
        return call(self, asked)

    monkeypatch.setattr(Session, "ask", deadlocked_once)
    run_id = client.start_flow(one_step(client, lambda: 1))
    assert client.poll_and_run(until_idle=True) == 1
    assert client.wait(run_id) == {"a": 1}
    assert len(posts) == 2
    assert "deliver failed, again at once" in caplog.text


# Stopping


def test_stop_lets_the_running_handler_finish(client: Client, work: Work) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def handler(run: int) -> int:
        begun.set()
        may_end.wait(30)
        return run

    one_step(client, handler)
    first = client.start_flow("one", 1)
    worker = work(concurrency=1)
    assert begun.wait(30)
    second = client.start_flow("one", 2)
    client.stop()
    may_end.set()
    assert worker.join() == 1
    assert client.wait(first, timeout=0) == {"a": 1}
    assert client.status(second)["status"] == "started"


def test_what_was_claimed_while_it_was_asked_to_stop_is_handed_back(
    client: Client, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quantumflow_client import _sql
    from quantumflow_client._connections import Session

    run_id = client.start_flow(one_step(client, lambda: 1))
    call = Session.ask

    def stop_after_claim(self: Session, asked: Any) -> Any:
        answer = call(self, asked)
        if asked.statement == _sql.STATEMENTS["claim_tasks"]:
            assert len(answer) == 1
            client.stop()
        return answer

    monkeypatch.setattr(Session, "ask", stop_after_claim)
    assert client.poll_and_run() == 0
    assert (task(connection, run_id)["status"], task(connection, run_id)["attempts"]) == (
        "queued",
        0,
    )


def test_a_third_signal_goes_to_whoever_listened_before() -> None:
    from quantumflow_client._worker.core import Stopping
    from quantumflow_client._worker.signals import stopping_on_signals

    before: list[int] = []
    stops: list[Stopping] = []
    previous = signal.signal(signal.SIGTERM, lambda *_: before.append(1))
    try:
        with stopping_on_signals(stops.append):
            for _ in range(3):
                signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert stops == [Stopping.SOON, Stopping.NOW]
    assert len(before) == 2


WORKER = """
    import asyncio, logging, sys, time
    from datetime import timedelta
    from quantumflow_client import Client

    logging.basicConfig(level="INFO", stream=sys.stdout)
    client = Client(sys.argv[1])

    @client.command("slow")
    def slow(ctx, run):
        print("begun", flush=True)
        while not ctx.cancelled and not __import__("os").path.exists(run):
            time.sleep(0.01)
        return "cancelled" if ctx.cancelled else "finished"

    @client.command("deaf")
    def deaf():
        print("begun", flush=True)
        time.sleep(3600)

    @client.command("slow_async")
    async def slow_async():
        print("begun", flush=True)
        await asyncio.sleep(3600)

    print("tasks run:", client.poll_and_run(lease=timedelta(seconds=1)), flush=True)
"""


class Process:
    """A worker in a process of its own."""

    def __init__(self, dsn: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WORKER), dsn],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.said.extend(self._process.stdout)

    def wait_for(self, line: str) -> None:
        wait_until(lambda: any(line in said for said in self._lines()), what=f"{line}: {self.said}")

    def _lines(self) -> list[str]:
        return list(self.said)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        try:
            return self._process.wait(30)
        finally:
            self._reader.join(30)

    def kill(self) -> None:
        self._process.kill()
        self.end()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def process(dsn: str, client: Client) -> Iterator[Process]:
    steps = ["slow", "deaf", "slow_async"]
    for step in steps:
        client.deploy({"slug": step, "max_lost": 5, "steps": [{"name": step}]})
    process = Process(dsn)
    yield process
    process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_handler_finish(
    client: Client, process: Process, tmp_path: Path, connection: Connection, number: int
) -> None:
    may_end = tmp_path / "may_end"
    run_id = client.start_flow("slow", str(may_end))
    process.wait_for("begun")
    process.signal(number)
    later = client.start_flow("slow", str(may_end))
    # It goes on extending the lease while it drains.
    vt = "select vt from pgmq.q_quantum_flow_queue where msg_id = %s"
    message = (task(connection, run_id)["message_id"],)
    wait_for_changes(lambda: connection.execute(vt, message).fetchone(), 4)
    assert client.status(later)["status"] == "started"
    may_end.touch()
    assert process.end() == 0
    assert "tasks run: 1\n" in process.said
    assert client.wait(run_id, timeout=0) == {"slow": "finished"}
    assert task(connection, later)["attempts"] == 0


def test_a_second_signal_tells_the_handlers_and_hands_back_what_it_can(
    client: Client, process: Process, tmp_path: Path, connection: Connection
) -> None:
    slow = client.start_flow("slow", str(tmp_path / "never"))
    slow_async, deaf = client.start_flow("slow_async"), client.start_flow("deaf")
    wait_until(lambda: "".join(process.said).count("begun") == 3)
    process.signal(signal.SIGTERM)
    process.wait_for("the worker stops when its handlers have ended")
    process.signal(signal.SIGTERM)
    assert process.end() == 0
    assert client.wait(slow, timeout=0) == {"slow": "cancelled"}
    assert task(connection, slow_async)["status"] == "queued"
    assert task(connection, slow_async)["attempts"] == 0
    # What neither ended nor listened is left to its lease.
    assert task(connection, deaf)["status"] == "started"
    stopped = connection.execute(
        "select stopped_at is not null from quantumflow.workers"
    ).fetchall()
    assert stopped == [(True,)]


def test_a_killed_workers_task_is_done_by_another(
    client: Client, process: Process, tmp_path: Path, connection: Connection
) -> None:
    may_end = tmp_path / "may_end"
    run_id = client.start_flow("slow", str(may_end))
    process.wait_for("begun")
    process.kill()
    client.command("slow")(lambda: "rescued")
    wait_until(lambda: client.poll_and_run(once=True))
    assert client.wait(run_id, timeout=0) == {"slow": "rescued"}
    assert task(connection, run_id)["losses"] == 1


# Beside others


def test_until_idle_ends_when_nothing_of_its_commands_waits(
    client: Client, connection: Connection
) -> None:
    """Whatever waits of others, before it and behind it."""
    others = Flow("others")
    others.add_step("each", type="map", command="nobodys")
    client.deploy(others)
    one = one_step(client, lambda run: run)

    client.start_flow("others", list(range(500)))
    run_ids = client.start_flows(one, range(30))
    client.start_flow("others", list(range(500)))

    assert client.poll_and_run(until_idle=True, concurrency=2) == 30
    assert [client.wait(run_id)["a"] for run_id in run_ids] == list(range(30))
    waiting = connection.execute(
        "select count(*), sum(attempts) from quantumflow.step_tasks where status = 'queued'"
    )
    assert waiting.fetchone() == (1000, 0)
