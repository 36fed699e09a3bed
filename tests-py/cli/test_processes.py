"""quantumflow worker --processes: real processes, killed and told to stop."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from quantumflow_client import Client
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.command import Command

APP = """
import os, time
from pathlib import Path
from quantumflow_client import Flow

flow = Flow("py")

@flow.map
def each(item):
    return os.getpid()

hang = Flow("hang")

@hang.step
def once(ctx):
    Path(f"begun-{os.getpid()}").touch()
    while not Path("go").exists() and not ctx.cancelled:
        time.sleep(0.01)
    return os.getpid()

dying = Flow("dying")

@dying.step
def exits(ctx):
    os._exit(7)
"""

STARTED = "worker process {} was killed by signal 9: another one in 0.5 s"


class Family:
    """A parent of worker processes."""

    def __init__(self, dsn: str, folder: Path, *arguments: str) -> None:
        self.log = folder / "log"
        command = [sys.executable, "-m", "quantumflow_client.cli", "worker", *arguments]
        with self.log.open("w") as log:
            self.parent = subprocess.Popen(
                [*command, "--json"],
                cwd=folder,
                env=os.environ | {"QUANTUMFLOW_DSN": dsn},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._connection = psycopg.connect(dsn, autocommit=True)

    def children(self) -> set[int]:
        """The processes that registered as workers and live."""
        found = self._connection.execute(
            "select split_part(name, ':', 2)::int from quantumflow.workers where stopped_at is null"
        )
        return {pid for (pid,) in found if is_alive(pid)}

    def both(self) -> set[int]:
        """The two children, once there are two."""
        wait_until(lambda: len(self.children()) == 2, what="two processes have registered")
        return self.children()

    def ended(self) -> tuple[int, Any]:
        """The exit code, and what it printed."""
        printed, _ = self.parent.communicate(timeout=30)
        return self.parent.returncode, json.loads(printed) if printed else None

    def says(self, text: str) -> bool:
        return text in self.log.read_text()

    def close(self) -> None:
        pids = self.children()
        self.parent.kill()
        self.parent.communicate()
        for pid in pids:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self._connection.close()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def serve(
    dsn: str, module: Callable[[str], str], tmp_path: Path
) -> Iterator[Callable[..., Family]]:
    """Starts workers for a flow of APP."""
    with ExitStack() as stack:
        name = module(APP)

        def start(flow: str, *arguments: str) -> Family:
            family = Family(dsn, tmp_path, f"{name}:{flow}", "--deploy", *arguments)
            stack.callback(family.close)
            return family

        yield start


def begun(folder: Path) -> set[int]:
    return {int(path.name.split("-")[1]) for path in folder.glob("begun-*")}


def test_processes_share_a_map_and_end_together(serve: Callable[..., Family], dsn: str) -> None:
    family = serve("flow", "--processes", "2", "--concurrency", "1")
    children = family.both()
    with Client(dsn) as client:
        run_id = client.start_flow("py", list(range(200)))
        output: Any = client.wait(run_id, timeout=30)
    assert set(output["each"]) == children
    family.parent.terminate()
    assert family.ended() == (0, {"tasks_run": 200})
    assert not any(map(is_alive, children))


def test_a_killed_process_is_replaced_and_its_task_comes_back(
    serve: Callable[..., Family], dsn: str, tmp_path: Path
) -> None:
    family = serve("hang", "--processes", "2", "--lease", "1")
    children = family.both()
    with Client(dsn) as client:
        run_id = client.start_flow("hang")
        (victim,) = wait_until(lambda: begun(tmp_path))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: family.says(STARTED.format(victim)), what="it says so")
        assert family.both() & children == children - {victim}
        (tmp_path / "go").touch()
        output: Any = client.wait(run_id, timeout=30)
    assert output["once"] in family.children()
    family.parent.send_signal(signal.SIGINT)
    assert family.ended()[0] == 0


def test_the_second_signal_tells_handlers_to_stop(
    serve: Callable[..., Family], dsn: str, tmp_path: Path
) -> None:
    family = serve("hang", "--processes", "2", "--concurrency", "1")
    family.both()
    with Client(dsn) as client:
        client.start_flows("hang", [{}, {}])
    wait_until(lambda: len(begun(tmp_path)) == 2, what="both are busy")
    children = begun(tmp_path)
    # As from a terminal, which sends it to all.
    for pid in (*children, *children, family.parent.pid):
        os.kill(pid, signal.SIGINT)
    said = re.compile(r"when its handlers have ended")
    wait_until(lambda: len(said.findall(family.log.read_text())) == 2, what="both stop")
    assert not family.says("at once")
    assert all(map(is_alive, children))
    family.parent.terminate()
    assert family.ended()[0] == 0
    assert family.says("at once")


def test_children_end_with_a_killed_parent(
    serve: Callable[..., Family], dsn: str, tmp_path: Path
) -> None:
    family = serve("hang", "--processes", "2", "--concurrency", "1")
    children = family.both()
    with Client(dsn) as client:
        run_id = client.start_flow("hang")
        (busy,) = wait_until(lambda: begun(tmp_path))
        family.parent.kill()
        wait_until(lambda: {pid for pid in children if is_alive(pid)} == {busy}, what="one is idle")
        (tmp_path / "go").touch()
        assert client.wait(run_id, timeout=30) == {"once": busy}
    wait_until(lambda: not is_alive(busy), what="the other has ended")


def test_who_crashes_is_replaced_until_there_is_nothing_to_do(
    serve: Callable[..., Family], dsn: str, connection: psycopg.Connection[Any]
) -> None:
    with Client(dsn) as client:
        client.deploy({"slug": "dying", "steps": [{"name": "exits", "command": "dying.exits"}]})
        client.start_flow("dying")
    family = serve("dying", "--processes", "2", "--until-idle")
    assert family.ended() == (0, {"tasks_run": 0})
    assert family.says("ended with 7: another one in 0.5 s")


def test_an_error_that_no_other_process_would_escape_ends_all(
    serve: Callable[..., Family],
) -> None:
    family = serve("flow", "--processes", "2", "--queue", "nowhere", "--until-idle")
    assert family.ended()[0] == 3
    assert family.says("QF401")
    assert not family.children()


def test_a_queue_that_is_gone_for_a_moment_ends_nobody_beside_who_looks_for_it(
    serve: Callable[..., Family], dsn: str, connection: psycopg.Connection[Any]
) -> None:
    with Client(dsn) as client:
        client.deploy({"slug": "aside", "steps": [{"name": "a", "queue": "side"}]})
    queues = ("--queue", "quantum_flow_queue", "--queue", "side")
    family = serve("flow", "--processes", "2", *queues)
    killed, other = family.both()
    connection.execute("select pgmq.drop_queue('side')")
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: family.says("the worker waits for a queue"))
    connection.execute("select quantumflow.setup()")
    assert other in family.both()
    family.parent.send_signal(signal.SIGTERM)
    assert family.ended()[0] == 0


def test_an_error_that_shows_before_is_said_once(
    lost: Command, module: Callable[[str], str]
) -> None:
    lost.environment["QUANTUMFLOW_DSN"] = "host=/nonexistent"
    lost.error("worker", f"{module(APP)}:flow", "--processes", "2", expect=5)
