"""A database of its own for a test, whose clock all of its sessions share."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from quantumflow_client import Client, Flow
from support.waiting import wait_until

if TYPE_CHECKING:
    from quantumflow_client.testing import Database

pytest_plugins = ["quantumflow_client.testing.fixtures"]


def test_time_that_passes_wakes_a_worker(quantumflow_database: Database) -> None:
    flow = Flow("slow")

    @flow.step(start_delay=timedelta(days=1))
    def late() -> str:
        return "done"

    flow.sleep("rest", seconds=timedelta(days=2), depends_on=[late])
    with Client(quantumflow_database.dsn) as client:
        client.deploy(flow)
        run_id = client.start_flow(flow)
        worker = threading.Thread(
            target=lambda: client.poll_and_run(handle_signals=False), daemon=True
        )
        worker.start()
        before = quantumflow_database.now
        assert quantumflow_database.advance_until_due() is not None
        wait_until(lambda: client.status(run_id)["steps"][1]["status"] == "started", timeout=60)
        quantumflow_database.advance(timedelta(days=2))
        assert client.wait(run_id, timeout=60) == {"rest": client.status(run_id)["output"]["rest"]}
        assert quantumflow_database.now - before > timedelta(days=3)
    worker.join()


@pytest.mark.long
def test_a_killed_test_runs_server_is_removed_by_the_next(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, sys, signal
        from quantumflow_client import testing
        from quantumflow_client.testing import _servers
        print(_servers._folder(os.environ["PYTEST_XDIST_TESTRUNUID"]), flush=True)
        with testing.database() as database:
            print(database.now is not None, flush=True)
            if sys.argv[1] == "die":
                os.kill(os.getpid(), signal.SIGKILL)
    """)
    folders = []
    for run, how in (("a", "die"), ("b", "end")):
        environment = {**os.environ, "PYTEST_XDIST_TESTRUNUID": f"{tmp_path.name}-{run}"}
        done = subprocess.run(
            [sys.executable, "-c", program, how],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
        )
        folder, said = done.stdout.split()
        assert said == "True", done.stderr
        folders.append(Path(folder))
    assert not any(folder.exists() for folder in folders)
    assert not any(folder.with_name(f"{folder.name}.lock").exists() for folder in folders)


@pytest.mark.usefixtures("quantumflow_database")
def test_databases_of_tests_are_dropped() -> None:
    from quantumflow_client.testing import database

    with database() as made, psycopg.connect(made.dsn) as connection:
        name = connection.info.dbname
    with database() as other, psycopg.connect(other.dsn) as connection:
        found = connection.execute("select from pg_database where datname = %s", [name])
        assert found.rowcount == 0
