"""Functions around handlers, and what handlers share: in which order, and what becomes of failures.

Fails when a hook that raises, hangs or returns nonsense costs more than its own attempt, when a
resource is made twice, never closed, or hides a dependency, and when anything stays after a task.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from client import computing
from client.conftest import BackgroundWorker
from quantumflow_client import Client, Context, Flow, RunFailed, TaskFilter, current_task
from quantumflow_client._worker import loop
from support.waiting import wait_until

Connection = psycopg.Connection[Any]
Work = Callable[..., BackgroundWorker]
Handler = Callable[..., Any]


@pytest.fixture(autouse=True)
def consistent(connection: Connection) -> Iterator[None]:
    """Whatever a worker did, the database's rules hold afterwards."""
    yield
    assert connection.execute("select * from quantumflow.check_state()").fetchall() == []


def deploy(client: Client, handler: Handler, *, process: bool = False, **settings: Any) -> None:
    """Deploy a workflow of one step."""
    flow = Flow("one", retry_delay=0, **settings)
    flow.step("a", process=process)(handler)
    client.deploy(flow)


def run(client: Client, value: Any = None) -> Any:
    """Start a run, work on it, and return the step's output."""
    run_id = client.start_flow("one", value)
    client.poll_and_run(until_idle=True)
    return client.wait(run_id, timeout=30)["a"]


# Hooks


def plain(run: Any) -> Any:
    return ["handler", run, threading.current_thread().name.split("-")[0]]


async def coroutine(run: Any) -> Any:
    await asyncio.sleep(0)
    return ["handler", run, "async"]


@pytest.mark.parametrize("kinds", ["def", "async", "both", "mixed"])
@pytest.mark.parametrize("handler", [plain, coroutine, computing.echo_list])
def test_hooks_are_called_in_order_and_change_what_goes_in_and_out(
    client: Client, kinds: str, handler: Handler
) -> None:
    said: list[str] = []

    def hook(name: str, *, is_async: bool) -> Handler:
        def before(ctx: Context) -> None:
            assert current_task() is ctx
            said.append(f"{name} begins {ctx.step_slug} {ctx.attempt}")
            ctx.input["run"] = [*ctx.input["run"], name]

        def around(ctx: Context, call: Callable[[], Any]) -> Any:
            before(ctx)
            output = call()
            said.append(f"{name} ends")
            return [*output, name]

        async def aaround(ctx: Context, call: Callable[[], Any]) -> Any:
            before(ctx)
            output = await call()
            said.append(f"{name} ends")
            return [*output, name]

        return aaround if is_async else around

    order = {"def": "dd", "async": "aa", "both": "dada", "mixed": "ad"}[kinds]
    names = [f"{kind}{n}" for n, kind in enumerate(order)]
    for name, kind in zip(names, order, strict=True):
        client.around(hook(name, is_async=kind == "a"))
    deploy(client, handler, process=handler is computing.echo_list)
    output = run(client, ["run"])
    assert output[0] == "handler"
    assert output[1] == ["run", *names]
    assert output[3:] == names[::-1]
    assert said == [f"{n} begins a 1" for n in names] + [f"{n} ends" for n in names[::-1]]


@pytest.mark.parametrize("is_async", [False, True])
def test_an_error_goes_through_the_hooks_which_may_turn_it(client: Client, is_async: bool) -> None:
    seen: list[str] = []

    def turn(_: Context, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ValueError as error:
            return f"turned {error}"

    def see(_: Context, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    async def asee(_: Context, call: Callable[[], Any]) -> Any:
        return await call()

    client.around(turn)
    client.around(see)
    if is_async:
        client.around(asee)

    def handler() -> None:
        raise ValueError("bad")

    deploy(client, handler)
    assert run(client) == "turned bad"
    assert seen == ["ValueError"]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("what", ["raises", "nonsense", "calls twice", "takes the input away"])
def test_what_a_hook_does_wrong_costs_its_own_attempt(
    client: Client, connection: Connection, what: str, is_async: bool
) -> None:
    says = {
        "raises": "LookupError: hook",
        "nonsense": "UnsupportedValue: the output cannot be stored as JSON: Object of type object",
        "calls twice": "RuntimeError: a hook has called what it is around before: once is enough",
        "takes the input away": "TypeError: a hook has changed the input: the handler of",
    }[what]

    def wrong(ctx: Context) -> Any:
        if ctx.attempt > 1:
            return False
        if what == "raises":
            raise LookupError("hook")
        if what == "takes the input away":
            ctx.input.clear()
        return what == "nonsense"

    def hook(ctx: Context, call: Callable[[], Any]) -> Any:
        output = object() if wrong(ctx) else call()
        return call() if what == "calls twice" and ctx.attempt == 1 else output

    async def ahook(ctx: Context, call: Callable[[], Any]) -> Any:
        output = object() if wrong(ctx) else await call()
        return await call() if what == "calls twice" and ctx.attempt == 1 else output

    client.around(ahook if is_async else hook)
    deploy(client, plain)
    assert run(client)[0] == "handler"
    (message,) = connection.execute(
        "select error_message from quantumflow.task_failures"
    ).fetchone()  # type: ignore[misc]
    assert message.startswith(says)


def test_a_hook_that_hangs_is_left_alone_as_a_handler_is(
    client: Client, work: Work, connection: Connection
) -> None:
    block = threading.Event()

    def hook(ctx: Context, call: Callable[[], Any]) -> Any:
        if ctx.input["run"] == "hang":
            block.wait(60)
        return call()

    client.around(hook)
    deploy(client, plain, timeout=1, max_attempts=1)
    work(concurrency=1)
    hung = client.start_flow("one", "hang")
    try:
        with pytest.raises(RunFailed):
            client.wait(hung, timeout=30)
        assert client.wait(client.start_flow("one", "not"), timeout=30)["a"][1] == "not"
    finally:
        block.set()


def test_a_cancelled_async_handler_goes_through_its_hooks(client: Client, work: Work) -> None:
    seen: list[str] = []
    begun = threading.Event()

    def hook(_: Context, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except BaseException as error:
            seen.append(f"def {type(error).__name__}")
            raise

    async def ahook(ctx: Context, call: Callable[[], Any]) -> Any:
        try:
            return await call()
        finally:
            seen.append(f"async {ctx.cancelled}")

    async def handler() -> None:
        begun.set()
        await asyncio.sleep(600)

    client.around(hook)
    client.around(ahook)
    deploy(client, handler)
    work(lease=timedelta(seconds=1))
    run_id = client.start_flow("one")
    assert begun.wait(30)
    client.cancel(run_id)
    wait_until(lambda: len(seen) == 2)
    assert seen == ["async True", "def CancelledError"]


@pytest.mark.parametrize("hook", [lambda: 1, len, "no function"])
def test_what_cannot_be_a_hook_is_refused(dsn: str, hook: Any) -> None:
    with pytest.raises(TypeError, match="a hook is a function of"):
        Client(dsn).around(hook)


def test_a_generator_is_no_hook(dsn: str) -> None:
    def hook(ctx: Context, call: Any) -> Iterator[Any]:
        yield call()

    with pytest.raises(TypeError, match="write `return call"):
        Client(dsn).around(hook)


# Resources


def test_resources_are_made_once_and_closed_in_turn(client: Client) -> None:
    said: list[str] = []

    @client.resource
    def first() -> Iterator[str]:
        said.append("first made")
        yield "first"
        said.append("first closed")

    @client.resource("second")
    def make() -> Iterator[str]:
        said.append("second made")
        yield "second"
        said.append("second closed")

    @client.resource
    async def looped() -> AsyncIterator[Any]:
        said.append("looped made")
        yield asyncio.get_running_loop()
        said.append("looped closed")

    @client.resource
    def unwanted() -> None:
        said.append("unwanted made")

    flow = Flow("wide", resources=["first", "second", "looped"])

    @flow.map
    def one(item: int, first: str, second: str) -> list[Any]:
        return [item, first, second]

    @flow.map(over=one)
    async def two(item: Any, first: str, looped: Any) -> list[Any]:
        assert looped is asyncio.get_running_loop()
        return [*item, first]

    client.deploy(flow)
    run_id = client.start_flow("wide", [1, 2, 3])
    client.poll_and_run(until_idle=True)
    assert client.wait(run_id)["two"] == [[n, "first", "second", "first"] for n in (1, 2, 3)]
    assert said == [
        *("first made", "second made", "looped made", "looped closed"),
        *("second closed", "first closed"),
    ]


@pytest.mark.parametrize("is_async", [False, True])
def test_one_that_cannot_be_made_keeps_the_worker_from_beginning(
    client: Client, connection: Connection, is_async: bool
) -> None:
    said: list[str] = []

    @client.resource
    def good() -> Iterator[str]:
        yield "good"
        said.append("closed")

    def bad() -> None:
        raise ConnectionError("no way")

    async def abad() -> None:
        raise ConnectionError("no way")

    client.resource("bad")(abad if is_async else bad)

    async def handler(good: str, bad: Any) -> None: ...

    flow = Flow("one", resources=["good", "bad"])
    flow.step("a")(handler)
    client.deploy(flow)
    client.start_flow("one")
    with pytest.raises(ConnectionError, match="no way"):
        client.poll_and_run(until_idle=True)
    assert said == ["closed"]
    rows = connection.execute("select status, attempts from quantumflow.step_tasks").fetchall()
    assert rows == [("queued", 0)]


def test_one_that_cannot_be_closed_is_told_and_the_others_are(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    @client.resource
    def good() -> Iterator[str]:
        yield "good"
        said.append("closed")

    @client.resource
    def bad() -> Iterator[str]:
        yield "bad"
        raise ConnectionError("it does not close")

    @client.resource
    def twice() -> Iterator[str]:
        yield "once"
        yield "more"

    flow = Flow("one", resources=["good", "bad", "twice"])
    flow.step("a")(lambda good, bad, twice: [good, bad, twice])
    client.deploy(flow)
    assert run(client) == ["good", "bad", "once"]
    assert said == ["closed"]
    assert "a resource was not closed as it should" in caplog.text


def test_a_resource_yields_to_a_dependency(dsn: str) -> None:
    flow = Flow("f")
    flow.step("http")(lambda: 1)
    flow.step("a", depends_on=["http"])(lambda http: http)
    client = Client(dsn)
    client.register(flow)
    with pytest.raises(ValueError, match="'a' of flow 'f' gets 'http' from what the step depends"):
        client.resource("http")(lambda: 1)
    other = Client(dsn)
    other.resource("http")(lambda: 1)
    with pytest.raises(ValueError, match="no resource can be called so beside it"):
        other.register(flow)


@pytest.mark.parametrize("name", ["run", "ctx", "index", "output", "last", "no name"])
def test_reserved_names_are_refused(dsn: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"no resource can be called '{name}'"):
        Client(dsn).resource(name)(lambda: 1)


def test_what_nobody_makes_is_refused_when_flow_and_client_meet(dsn: str) -> None:
    flow = Flow("f", resources=["http"])
    flow.step("a")(lambda http: http)
    with pytest.raises(TypeError, match="asks for 'http'"):
        Client(dsn).register(flow)
    with pytest.raises(TypeError, match="asks for 'db'"):
        flow.step("b")(lambda db: db)
    client = Client(dsn)
    client.resource("http")(coroutine_resource)
    with pytest.raises(TypeError, match="belongs to the event loop"):
        client.register(flow)


async def coroutine_resource() -> int:
    return 1


# Beside tasks


def test_every_line_of_the_log_knows_its_task(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(task_filter := TaskFilter())
    try:
        flow = Flow("logs")

        @flow.step
        def one() -> None:
            logging.getLogger("elsewhere").warning("said")

        @flow.step
        async def two() -> None:
            await asyncio.to_thread(logging.getLogger("elsewhere").warning, "said")

        client.deploy(flow)
        run_id = client.start_flow("logs")
        client.poll_and_run(until_idle=True)
        logging.getLogger("elsewhere").warning("said outside")
    finally:
        caplog.handler.removeFilter(task_filter)
    records = [vars(record) for record in caplog.records if record.name == "elsewhere"]
    assert sorted(str(record["step_slug"]) for record in records) == ["None", "one", "two"]
    assert {record["run_id"] for record in records} == {run_id, None}
    assert {record["task"] for record in records} >= {""}
    assert current_task() is None


@pytest.mark.parametrize("tasks", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("process", [False, pytest.param(True, marks=pytest.mark.long)])
def test_nothing_of_many_tasks_stays(client: Client, tasks: int, process: bool) -> None:
    @client.resource
    def shared() -> Iterator[list[int]]:
        yield []

    @client.around
    def hook(ctx: Context, call: Callable[[], Any]) -> Any:
        return call()

    flow = Flow("wide", resources=["shared"])
    if process:
        flow.map("a", process=True)(computing.double)
    else:
        flow.map("a")(lambda item, shared: [item, *shared])
    client.deploy(flow)
    found = [work_and_count(client, n) for n in (200, tasks)]
    assert found[0][0] == found[1][0] == 0
    grown = [after - before for before, after in zip(*found, strict=True)]
    assert grown[1] <= 2, "threads"
    assert grown[2] <= 2, "open files"
    assert grown[3] < tasks, "objects"


def work_and_count(client: Client, tasks: int) -> list[int]:
    """Run so many tasks; how many contexts, threads, open files and objects there are then."""
    client.start_flow("wide", list(range(tasks)))
    client.poll_and_run(until_idle=True)
    gc.collect()
    objects = gc.get_objects()
    contexts = sum(type(each) is Context for each in objects)
    files = len(list(Path("/proc/self/fd").iterdir()))
    return [contexts, threading.active_count(), files, len(objects)]


def test_its_health_is_what_the_database_answered(
    client: Client, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(client, plain)
    worker = work(health=("127.0.0.1", 0), name="me")
    assert worker is not None
    (each,) = wait_for_worker(client)
    wait_until(lambda: each._health is not None)
    url = f"http://127.0.0.1:{each._health.port}/"

    def look() -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    status, said = look()
    assert status == 200
    assert said["alive"] is True
    assert said["worker"] == "me"
    monkeypatch.setattr(loop, "_ALIVE", -1.0)
    status, said = look()
    assert (status, said["alive"]) == (503, False)


def wait_for_worker(client: Client) -> Any:
    wait_until(lambda: len(client._workers) == 1)
    return client._workers
