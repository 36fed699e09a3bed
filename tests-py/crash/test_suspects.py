"""A handler that kills its worker, beside others' work: only its own task is blamed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from quantumflow_client import Client
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

pytestmark = pytest.mark.system

WORKER = """
    import os, sys, time
    from datetime import timedelta
    from quantumflow_client import Client

    client = Client(sys.argv[1])

    @client.command("work")
    def work(item=None):
        if item == 7:
            os._exit(9)
        time.sleep(0.1)

    @client.command("kill")
    def kill():
        os._exit(9)

    client.poll_and_run(lease=timedelta(seconds=1))
"""


class Workers:
    """Worker processes, each replaced when it has died."""

    def __init__(self, dsn: str, count: int) -> None:
        self._dsn = dsn
        self._processes = [self._start() for _ in range(count)]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), self._dsn])

    def replace(self) -> None:
        for n, process in enumerate(self._processes):
            if process.poll() is not None:
                assert process.returncode == 9
                self._processes[n] = self._start()

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def workers(dsn: str, count: int) -> Iterator[Workers]:
    started = Workers(dsn, count)
    try:
        yield started
    finally:
        started.end()


def wait_for_ends(connection: psycopg.Connection[Any], running: Workers) -> None:
    def ended() -> bool:
        running.replace()
        started = "select from quantumflow.workflow_runs where status = 'started'"
        return not connection.execute(started).rowcount

    wait_until(ended, timeout=180)


def test_beside_a_run_that_kills_its_worker_no_other_run_fails(
    connection: psycopg.Connection[Any], dsn: str
) -> None:
    with Client(dsn) as client:
        client.deploy({"slug": "guilty", "steps": [{"name": "a", "command": "kill"}]})
        client.deploy({"slug": "innocent", "steps": [{"name": "a", "command": "work"}]})
        client.start_flows("innocent", [0] * 30)
        client.start_flow("guilty")
        client.start_flows("innocent", [0] * 30)
    with workers(dsn, 2) as running:
        wait_for_ends(connection, running)
    ends = connection.execute(
        "select workflow_slug, status, count(*) from quantumflow.workflow_runs group by 1, 2"
    ).fetchall()
    assert sorted(ends) == [("guilty", "failed", 1), ("innocent", "completed", 60)]
    assert connection.execute("select * from quantumflow.check_state()").fetchall() == []


def test_in_a_map_the_item_is_blamed_that_kills_its_worker(
    connection: psycopg.Connection[Any], dsn: str
) -> None:
    with Client(dsn) as client:
        step = {"name": "a", "command": "work", "type": "map"}
        client.deploy({"slug": "wide", "steps": [step]})
        run_id = client.start_flow("wide", list(range(20)))
    with workers(dsn, 2) as running:
        wait_for_ends(connection, running)
    failed = connection.execute(
        "select task_index, losses from quantumflow.step_tasks where status = 'failed'"
        " and run_id = %s",
        (run_id,),
    ).fetchall()
    assert failed == [(7, 3)]
