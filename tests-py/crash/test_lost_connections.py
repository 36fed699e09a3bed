"""A server that crashes, and connections that break, while worker processes go as fast as they can.

A worker whose call fails does not know whether it was done, and sends it again. What it was told is
on record, and is compared with what the database says in the end.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from crash.load import TASKS, check_load, completed, start_load
from crash.processes import load_processes
from support.engine import Engine
from support.server import build_extension, server_kind, throwaway_server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quantumflow_client.embedded import EmbeddedServer

pytestmark = pytest.mark.system


def test_nothing_is_lost_when_the_server_crashes_under_load(tmp_path: Path) -> None:
    """The server keeps its promises to disk here: fsync and synchronous commits are on."""
    build_extension()
    runs = 500
    durable = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    with throwaway_server(server_kind(), "crash", settings=durable) as server:
        dsn = server.create_database("load")
        _on(dsn, lambda engine: start_load(engine, runs))
        with load_processes(dsn, 4, tmp_path) as files:
            for crash in (1, 2):
                _wait_for(server, lambda done, goal=crash * runs: done >= goal)  # type: ignore[misc]
                server.restart("immediate")
            _wait_for(server, lambda done: done == runs * TASKS)
        _on(dsn, lambda engine: check_load(engine, files, runs))


def _on(dsn: str, work: Callable[[Engine], Any]) -> Any:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return work(Engine(connection))


def _wait_for(server: EmbeddedServer, enough: Callable[[int], bool]) -> None:
    with psycopg.connect(server.dsn("load"), autocommit=True) as connection:
        engine = Engine(connection)
        wait_until(lambda: enough(completed(engine)), timeout=90, what="the workers get on")


def test_nothing_is_lost_when_connections_are_terminated(
    connection: psycopg.Connection[Any], dsn: str, tmp_path: Path
) -> None:
    engine = Engine(connection)
    runs = 300
    total = runs * TASKS
    start_load(engine, runs)
    chance = random.Random(0)
    terminate = (
        "select pg_terminate_backend(pid) from ("
        "select pid from pg_stat_activity where application_name = 'load' "
        "and datname = current_database() order by (state = 'active') desc, random() limit 1) s"
    )

    with load_processes(dsn, 4, tmp_path) as files:
        goal, terminated = 0, 0
        while goal < total - 100:
            goal = completed(engine) + chance.randrange(20, 60)
            wait_until(lambda goal=goal: completed(engine) >= min(goal, total), timeout=60)  # type: ignore[misc]
            terminated += bool(engine.value(terminate))
        wait_until(lambda: completed(engine) == total, timeout=60)

    assert terminated >= 5
    check_load(engine, files, runs)
