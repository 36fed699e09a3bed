"""Workers, waiting clients and calls in the middle ride through an upgrade."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from quantumflow_client import Client, _extension
from support.engine import Engine
from support.server import REPOSITORY
from support.waiting import wait_until
from upgrade.installation import Installation

Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.system


@contextlib.contextmanager
def worker(dsn: str, output: Path) -> Iterator[subprocess.Popen[str]]:
    with output.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "upgrade.worker_program", dsn],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY / "tests-py")},
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def test_workers_go_on(
    old: Installation,
    old_connection: Connection,
    connect: Callable[..., Connection],
    tmp_path: Path,
) -> None:
    engine = Engine(old_connection)
    runs, items = 150, 4
    steps = [
        {"name": "first"},
        {"name": "each", "type": "map"},
        {"name": "last", "dependencies": ["first", "each"]},
    ]
    engine.define("load", steps, timeout=3600)
    run_ids = engine.start_many("load", [list(range(items))] * runs)
    total = runs * (items + 2)

    def completed() -> int:
        query = "select count(*) from quantumflow.step_tasks where status = 'completed'"
        return int(engine.value(query))

    files = [tmp_path / name for name in ("one", "two")]
    with (
        worker(old.dsn, files[0]) as one,
        worker(old.dsn, files[1]) as two,
        Client(old.dsn) as waiting,
        ThreadPoolExecutor() as pool,
    ):
        outputs = pool.submit(lambda: [waiting.wait(run_id, timeout=60) for run_id in run_ids])
        # Long after every statement was prepared, and long before they are done.
        wait_until(lambda: completed() > total / 4, timeout=60)
        old.update(connect(old.dsn))
        assert completed() < total
        assert outputs.result(60) == [{"last": items}] * runs
        for process in (one, two):
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
        for process in (one, two):
            _, said = process.communicate(timeout=30)
            assert process.returncode == 0, said

    called = Counter(line for file in files for line in file.read_text("utf-8").splitlines())
    assert len(called) == total
    assert set(called.values()) == {1}
    assert {json.loads(line)[3] for line in called} == {1}
    assert engine.value("select sum(attempts) from quantumflow.step_tasks") == total
    assert engine.value("select count(*) from quantumflow.task_failures") == 0
    assert engine.problems() == []
    assert engine.value("select quantumflow.version()") == _extension.version()
