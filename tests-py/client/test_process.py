"""Handlers in processes of their own: what they are given, and what becomes of them.

Fails when one that crashes, exits, hangs or forks concerns another task, when a process outlives
its task's time, its worker or a stop, and when a handler that no process can import is accepted.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import psycopg
import pytest

from client import computing
from client.conftest import BackgroundWorker
from quantumflow_client import Client, Flow
from quantumflow_client._sql.tasks import Task, TaskRef
from quantumflow_client._worker import process
from quantumflow_client._worker.child import Job
from quantumflow_client._worker.core import Stopping
from quantumflow_client._worker.handlers import Place
from quantumflow_client._worker.process import Processes
from quantumflow_client.errors import ProcessDied
from support.waiting import wait_until

Connection = psycopg.Connection[Any]
Work = Callable[..., BackgroundWorker]


@pytest.fixture(autouse=True)
def consistent(connection: Connection) -> Iterator[None]:
    """Whatever a worker did, the database's rules hold afterwards."""
    yield
    assert connection.execute("select * from quantumflow.check_state()").fetchall() == []


def one(client: Client, handler: Callable[..., Any], **settings: Any) -> str:
    """Deploy a workflow of one step in a process; its slug."""
    flow = Flow("one", retry_delay=0, **settings)
    flow.step("a", process=True)(handler)
    client.deploy(flow)
    return "one"


def is_there(pid: int) -> bool:
    """Whether a process has not ended; one that nobody waits for has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    wait_until(lambda: not is_there(pid))


def test_it_is_given_the_task_and_what_it_logs_and_uses_is_the_workers(
    client: Client, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = client.start_flow(one(client, computing.add), {"a": 1, "b": 2})
    client.poll_and_run(until_idle=True)
    output = client.wait(run_id)["a"]
    assert output.pop("pid") != os.getpid()
    assert output == {
        "sum": 3,
        "step": "a",
        "attempt": 1,
        "is_current": True,
        "cancelled": False,
        "held": True,
        "told": [True, True],
    }
    # Once a second at most.
    told = connection.execute("select done, total, note from quantumflow.task_progress").fetchall()
    assert told == [(1, 2, "half")]
    assert [r.getMessage() for r in caplog.records if r.name == "computing"] == ["adds 1"]
    usage = connection.execute("select name, amount from quantumflow.attempt_usage").fetchall()
    assert usage == [("sums", 1)]


def test_it_asks_for_outputs_and_for_the_runs_input(client: Client) -> None:
    flow = Flow("asks")
    flow.step("things")(computing.things)
    flow.map("a", over="things", process=True)(computing.outputs)
    client.deploy(flow)
    run_id = client.start_flow("asks", "input")
    client.poll_and_run(until_idle=True)
    assert client.wait(run_id)["a"] == [[n, [1, 2], "input"] for n in (1, 2)]


SAYS = {
    "segfault": "ProcessDied: the process of the handler was ended by SIGSEGV",
    "exit": "ProcessDied: the process of the handler ended with exit code 7",
    "kill": "ProcessDied: the process of the handler was ended by SIGKILL",
    "fork and crash": "ProcessDied: the process of the handler was ended by SIGKILL",
    "sys.exit": "SystemExit: 3",
    "later": "RetryAfter: soon",
    "transaction": "RuntimeError: in a process of its own a handler has no ctx.transaction()",
}
"""What attempts say that fail, by what they do."""


def test_whatever_one_does_costs_its_own_attempt(client: Client, connection: Connection) -> None:
    flow = Flow("all", retry_delay=0)
    flow.map("a", process=True)(computing.misbehave)
    client.deploy(flow)
    items = [*SAYS, "fork", "nothing", "nothing", "nothing"]
    run_id = client.start_flow("all", items)
    client.poll_and_run(until_idle=True, concurrency=3)
    assert client.wait(run_id)["a"] == [f"{n} no more" if n in SAYS else n for n in items]
    told = connection.execute(
        "select task_index, error_message from quantumflow.task_failures order by task_index"
    ).fetchall()
    assert [index for index, _ in told] == list(range(len(SAYS)))
    for (_, message), says in zip(told, SAYS.values(), strict=True):
        assert message.startswith(says)


class Asked:
    """An execution, as far as processes are concerned."""

    def __init__(self) -> None:
        self.deadline = inf
        self.told_to_stop_at: float | None = None

    def is_cancelled(self) -> bool:
        return False

    def heartbeat(self) -> bool:
        raise LookupError("nothing to extend")

    def fetch(self, call: Any) -> Any:
        return call


def job(handler: Callable[..., Any], value: Any = None) -> Job:
    """A task of a step whose run has an input."""
    ref = TaskRef("01a22e4e-8fee-751a-a978-2bb92e9f9f25", "a", 0, 1)
    text = json.dumps({"run": value})
    task = Task(ref, "one", "c", None, text, 1, 3, 4e9, 4e9, None, 0, "single")
    place = Place((handler.__module__, handler.__qualname__), None)
    return Job(place, task, None, None, logging.INFO)


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Processes without a worker."""
    processes = Processes()
    yield processes
    processes.close()


def test_at_the_deadline_it_is_killed_with_all_that_it_has_begun(
    processes: Processes, tmp_path: Path
) -> None:
    file, asked = tmp_path / "pids", Asked()
    died: list[ProcessDied] = []

    def do() -> None:
        with pytest.raises(ProcessDied) as raised:
            processes.do(job(computing.sleep, {"file": str(file), "stubborn": True}), asked)
        died.append(raised.value)

    thread = threading.Thread(target=do)
    thread.start()
    wait_until(lambda: file.exists() and len(file.read_text().split()) == 2)
    asked.deadline = 0
    thread.join(30)
    assert "was killed: its task's time was over" in str(died[0])
    assert pickle.loads(pickle.dumps(died[0])).exit_code == died[0].exit_code == -signal.SIGKILL
    for pid in map(int, file.read_text().split()):
        wait_until_gone(pid)


def test_two_hundred_megabytes_go_in_and_out(processes: Processes) -> None:
    text = "x" * 100_000_000
    answer = processes.do(job(computing.echo, text), Asked())
    assert len(answer.value.output) == len(text) + 2


def test_what_it_asks_may_raise_and_what_it_returns_be_no_json(processes: Processes) -> None:
    failure = processes.do(job(computing.beat), Asked()).value
    assert failure.message == "LookupError: nothing to extend"
    failure = processes.do(job(computing.strange), Asked()).value
    assert failure.message.startswith("UnsupportedValue: the output cannot be stored as JSON: ")


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_second_signal_hands_its_task_back_and_leaves_no_process(
    client: Client, work: Work, connection: Connection, tmp_path: Path, stubborn: bool
) -> None:
    file = tmp_path / "pids"
    one(client, computing.sleep)
    client.start_flow("one", {"file": str(file), "stubborn": stubborn})
    worker = work()
    wait_until(lambda: file.exists() and len(file.read_text().split()) == 2)
    for each in client._workers:
        each.stop(Stopping.NOW)
    worker.join()
    pids = [int(pid) for pid in file.read_text().split()]
    for pid in pids:
        wait_until_gone(pid)
    statuses = connection.execute("select status from quantumflow.step_tasks").fetchall()
    assert statuses == [("queued" if stubborn else "completed",)]


def test_a_worker_that_is_killed_leaves_no_process(
    client: Client, dsn: str, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    one(client, computing.sleep)
    client.start_flow("one", {"file": str(file), "stubborn": True})
    program = textwrap.dedent("""
        import sys
        from client import computing
        from quantumflow_client import Client, Flow
        flow = Flow("one")
        flow.step("a", process=True)(computing.sleep)
        client = Client(sys.argv[1])
        client.register(flow)
        client.poll_and_run()
    """)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen([sys.executable, "-c", program, dsn], env=env)
    try:
        wait_until(lambda: file.exists() and len(file.read_text().split()) == 2)
        pids = [int(pid) for pid in file.read_text().split()]
        # To be told to stop is not for the handlers' processes, whoever tells it.
        os.killpg(pids[0], signal.SIGINT)
        assert is_there(pids[0])
    finally:
        worker.kill()
        worker.wait()
    for pid in pids:
        wait_until_gone(pid)


def test_processes_are_used_anew_and_replaced_after_some_tasks(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "TASKS_MOST", 3)
    flow = Flow("wide")
    flow.map("a", process=True)(computing.spin)
    client.deploy(flow)
    run_id = client.start_flow("wide", [0.0] * 9)
    client.poll_and_run(until_idle=True, concurrency=1)
    pids = client.wait(run_id)["a"]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 3]
    wait_until(lambda: not any(is_there(pid) for pid in pids))


def test_an_idle_process_is_kept_for_a_while(
    client: Client, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "IDLE_MOST", 0.5)
    one(client, computing.spin_once)
    work()
    pid = client.wait(client.start_flow("one"), timeout=30)["a"]
    wait_until(lambda: not is_there(pid))
    other = client.wait(client.start_flow("one"), timeout=30)["a"]
    assert other != pid


def test_four_that_compute_run_at_once(client: Client) -> None:
    flow = Flow("wide")
    flow.map("a", process=True)(computing.meet)
    client.deploy(flow)
    run_id = client.start_flow("wide", [0] * 4)
    client.poll_and_run(until_idle=True, concurrency=4)
    assert len(set(client.wait(run_id)["a"])) == 4


@pytest.mark.long
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor")
def test_four_that_compute_are_nearly_twice_as_fast_on_two_processors(
    client: Client, record_property: Callable[[str, object], None]
) -> None:
    flow = Flow("wide")
    flow.map("a", process=True)(computing.spin)
    client.deploy(flow)

    def seconds(concurrency: int) -> float:
        client.start_flow("wide", [0.05] * 200)
        began = time.monotonic()
        assert client.poll_and_run(until_idle=True, concurrency=concurrency) == 200
        return time.monotonic() - began

    # So many that starting the processes does not count.
    ratios = [seconds(1) / seconds(4) for _ in range(3)]
    record_property("times one process' rate", max(ratios))
    assert max(ratios) >= 1.8


def nested() -> Callable[..., Any]:
    def handler() -> None: ...

    return handler


async def waits() -> None: ...


def of_main() -> None: ...


def of_nowhere() -> None: ...


of_main.__module__ = "__main__"
of_nowhere.__module__ = "nowhere.at.all"


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (nested(), "it has no name in its module"),
        (lambda: 1, "it has no name in its module"),
        (waits, "it is async def"),
        (of_main, "it is of the program that was started"),
        (functools.partial(computing.echo, run="x"), "it is of the program|it has no name"),
        (of_nowhere, "no other process finds its module 'nowhere.at.all'"),
    ],
)
def test_what_no_process_can_import_is_refused(function: Any, says: str, dsn: str) -> None:
    client = Client(dsn)
    with pytest.raises(TypeError, match=says):
        client.command("a", process=True)(function)
    with pytest.raises(TypeError, match=says):
        Flow("f").step("a", process=True)(function)
    assert client.commands == []


def test_resources_are_refused_and_why_is_said(dsn: str) -> None:
    client = Client(dsn)
    client.resource("run_")(lambda: 1)
    client.resource("http")(lambda: 1)

    with pytest.raises(TypeError, match="cannot ask for resource 'http': it has a process"):
        client.command("a", process=True)(computing.asks_for_http)
