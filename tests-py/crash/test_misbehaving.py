"""Every way for a handler to misbehave, beside neighbours who must not notice.

In each a worker process has slow neighbours, which outlast their leases and may not be lost once,
and quick ones, claimed after the damage is done. Then it is told to stop, or ends when it is idle.

Fails when what a handler does to its thread, its loop, its process or the log reaches others.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from quantumflow_client import Client
from support.server import REPOSITORY
from support.waiting import wait_until

if TYPE_CHECKING:
    from uuid import UUID

Connection = psycopg.Connection[Any]

BOTH = [
    "hangs",
    "encodes_for_ever",
    "spins",
    "raises_the_unprintable",
    "raises_without_a_traceback",
    "asks_for_no_delay",
    "exits",
    "interrupts",
    "raises_a_base_exception",
    "exhausts_memory",
    "exhausts_the_stack",
    "returns_the_hostile",
    "returns_the_guarded",
    "sets_a_record_factory",
    "sets_a_filter_that_raises",
    "forks",
    "forks_and_raises",
    "forks_and_exits",
]
ASYNC = [
    "forks_and_waits",
    "forks_in_a_task",
    "cancels_all",
    "stops_the_loop",
    "exits_in_a_task",
    "exits_in_a_callback",
    "ignores_cancellation",
    "leaves_a_blocking_task",
    "hangs_in_a_thread",
]
EVERY = [f"{kind}_{name}" for name in BOTH for kind in ("sync", "async")]
EVERY += [f"async_{name}" for name in ASYNC]

BLOCKING = {"async_hangs", "async_spins", "async_encodes_for_ever", "async_leaves_a_blocking_task"}
"""Async handlers that had begun on their loop time out with it."""

HANGING = BLOCKING | {
    "sync_hangs",
    "sync_spins",
    "sync_encodes_for_ever",
    "async_ignores_cancellation",
}
OVER = HANGING | {"async_hangs_in_a_thread"}
"""What goes on until its time is over."""

_AMONG_THE_SHORT = {"sync_hangs", "async_hangs", "async_spins"}

REASONS = {
    "raises_the_unprintable": "_Unprintable: (its text could not be made)",
    "raises_without_a_traceback": "_NoTraceback: no traceback",
    "asks_for_no_delay": "_Later",
    "exits": "SystemExit: 3",
    "interrupts": "KeyboardInterrupt",
    "raises_a_base_exception": "BaseException: base",
    "exhausts_memory": "MemoryError",
    "exhausts_the_stack": "RecursionError: ",
    "returns_the_hostile": "SystemExit: 3",
    "returns_the_guarded": "KeyboardInterrupt",
    "sets_a_record_factory": "ValueError: logged",
    "sets_a_filter_that_raises": "ValueError: not logged",
    "forks_and_raises": "ValueError: parent",
    "cancels_all": "CancelledError",
    "exits_in_a_task": "SystemExit: 3",
}
"""What a run fails with; those that are not here, and end, complete."""


class Worker:
    """A worker process of crash.misbehaving."""

    def __init__(self, dsn: str, folder: Path, *options: str) -> None:
        self.folder = folder
        self.log = folder / f"log-{len(list(folder.iterdir()))}"
        told = {"BEHAVIOURS_IN": str(folder), "QUANTUMFLOW_DSN": dsn}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "crash.misbehaving", *options],
                cwd=REPOSITORY / "tests-py",
                env=os.environ | told,
                stdout=log,
                stderr=log,
            )

    def told(self, what: str) -> list[int]:
        """The processes in which handlers told it."""
        return [int(path.name.split("-")[-1]) for path in self.folder.glob(f"{what}-*")]

    def go(self) -> None:
        (self.folder / "go").touch()

    def ended(self, seconds: float = 30) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end: {self.log.read_text()}") from None


Start = Callable[..., Worker]


@pytest.fixture
def start(dsn: str, tmp_path: Path) -> Iterator[Start]:
    started: list[Worker] = []

    def begin(*options: str) -> Worker:
        started.append(Worker(dsn, tmp_path, "--lease", "1", *options))
        return started[-1]

    yield begin
    for worker in started:
        worker.process.kill()
        worker.process.wait()
        for child in worker.told("child"):
            if is_alive(child):
                os.kill(child, signal.SIGKILL)


@pytest.fixture
def client(dsn: str) -> Iterator[Client]:
    with Client(dsn) as client:
        yield client


@pytest.fixture(autouse=True)
def consistent(connection: Connection) -> Iterator[None]:
    yield
    assert connection.execute("select * from quantumflow.check_state()").fetchall() == []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def deploy(client: Client, command: str, *, timeout: float = 60, **settings: Any) -> str:
    client.deploy(
        {
            "slug": command,
            "timeout": timeout,
            "max_lost": 1,
            "max_attempts": 1,
            "retry_delay": 0,
            "steps": [{"name": "a", "command": command}],
            **settings,
        }
    )
    return command


def attempts(connection: Connection, run_id: UUID) -> tuple[int, int]:
    row = connection.execute(
        "select attempts, losses from quantumflow.step_tasks where run_id = %s", (run_id,)
    ).fetchone()
    assert row is not None
    return row[0], row[1]


@pytest.mark.parametrize(
    "command",
    [
        command if command in _AMONG_THE_SHORT else pytest.param(command, marks=pytest.mark.long)
        for command in sorted(OVER)
    ],
)
def test_who_hangs_is_left_alone(
    client: Client, connection: Connection, start: Start, command: str
) -> None:
    timeout = 5 if command in BLOCKING else 60
    neighbours = Neighbours(client, connection, start, async_timeout=timeout)
    bad = client.start_flow(deploy(client, command, timeout=0.5))
    wait_until(lambda: neighbours.worker.told("hung"))
    neighbours.begin_and_end()
    wait_until(lambda: client.status(bad)["status"] != "started")
    neighbours.end(without_async=command in BLOCKING)


def test_what_raises_forks_and_reaches_for_others_concerns_nobody_else(
    client: Client, connection: Connection, start: Start
) -> None:
    neighbours = Neighbours(client, connection, start)
    for command in [command for command in EVERY if command not in OVER]:
        bad = client.start_flow(deploy(client, command))
        wait_until(lambda bad=bad: client.status(bad)["status"] != "started", what=command)  # type: ignore[misc]
        expected = REASONS.get(command.partition("_")[2])
        status = client.status(bad)
        assert status["status"] == ("failed" if expected else "completed"), command
        assert (expected or "") in str(status["error_message"]), command
        neighbours.begin_and_end(2)
    neighbours.end()
    assert neighbours.worker.told("child")
    assert not any(map(is_alive, neighbours.worker.told("child")))
    assert not neighbours.worker.told("ran-on")


def test_a_worker_that_is_idle_does_not_wait_for_who_hangs(client: Client, start: Start) -> None:
    bad = [
        client.start_flow(deploy(client, command, timeout=0.5))
        for command in ("sync_hangs", "async_hangs", "async_ignores_cancellation")
    ]
    assert start("--until-idle").ended(60) == 0
    assert all(client.status(run_id)["status"] == "failed" for run_id in bad)


def test_a_worker_ends_with_a_code_of_its_own_when_too_many_hang(
    client: Client, start: Start
) -> None:
    client.start_flows(deploy(client, "sync_hangs", timeout=0.5), [{}] * 3)
    worker = start("--concurrency", "1")
    assert worker.ended() == 6
    assert "3 handlers hang: the worker has ended" in worker.log.read_text()
    assert "in hangs\n" in worker.log.read_text()


def test_a_process_in_which_too_many_hang_is_replaced(client: Client, start: Start) -> None:
    worker = start("--processes", "2", "--concurrency", "1")
    client.start_flows(deploy(client, "sync_hangs", timeout=0.5), [{}] * 8)
    wait_until(lambda: "ended with 0: another one in 0.5 s" in worker.log.read_text(), timeout=60)
    quick = client.start_flow(deploy(client, "sync_quick"))
    assert client.wait(quick, timeout=60) == {"a": "clean"}
    worker.process.terminate()
    assert worker.ended() == 0


def test_what_has_not_begun_is_handed_back_while_the_loop_is_blocked(
    client: Client, connection: Connection, start: Start
) -> None:
    worker = start()
    client.start_flow(deploy(client, "async_hangs", timeout=20))
    wait_until(lambda: worker.told("hung"))
    runs = [client.start_flow(deploy(client, "async_quick", timeout=8)) for _ in range(20)]
    wait_until(lambda: "which blocks it" in worker.log.read_text())
    other = start("--name", "free")
    for run_id in runs:
        assert client.wait(run_id, timeout=30) == {"a": "clean"}
        assert attempts(connection, run_id) == (1, 0)
    other.process.terminate()
    assert other.ended() == 0


class Neighbours:
    """A worker with two handlers that have begun, and will end when the test allows it."""

    def __init__(
        self, client: Client, connection: Connection, start: Start, *, async_timeout: float = 60
    ) -> None:
        self._client = client
        self._connection = connection
        self._slow = {
            "sync": client.start_flow(deploy(client, "sync_slow")),
            "async": client.start_flow(deploy(client, "async_slow", timeout=async_timeout)),
        }
        self.worker = start()
        wait_until(lambda: self.worker.told("slow-sync") and self.worker.told("slow-async"))

    def begin_and_end(self, count: int = 10) -> None:
        """So many runs of either kind, which nothing disturbs."""
        slugs = [deploy(self._client, f"{kind}_quick") for kind in ("sync", "async")]
        for run_id in [self._client.start_flow(slug) for slug in slugs for _ in range(count)]:
            self._undisturbed(run_id)

    def end(self, *, without_async: bool = False) -> None:
        """End those that were there before, whose leases were renewed, and the worker."""
        self.worker.go()
        self._undisturbed(self._slow["sync"])
        if not without_async:
            self._undisturbed(self._slow["async"])
        self.worker.process.terminate()
        assert self.worker.ended(15) == 0

    def _undisturbed(self, run_id: UUID) -> None:
        assert self._client.wait(run_id, timeout=30) == {"a": "clean"}
        assert attempts(self._connection, run_id) == (1, 0)
