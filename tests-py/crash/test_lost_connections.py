"""A server that crashes, and connections that break, while worker processes go as fast as they can.

A worker whose call fails does not know whether it was done, and sends it again. What it was told is
on record, and is compared with what the database says in the end.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crash.processes import load_processes
from quantumflow_client.embedded import EmbeddedServer
from support.engine import Engine
from support.server import build_extension, server_kind, throwaway_server
from support.waiting import wait_until

pytestmark = pytest.mark.system

_STEPS: list[dict[str, Any]] = [
    {"name": "first"},
    {"name": "each", "type": "map"},
    {"name": "last", "dependencies": ["first", "each"]},
]
_ITEMS = 4


def _start(engine: Engine, runs: int) -> None:
    engine.define("load", _STEPS, max_lost=1000, timeout=86400)
    engine.start_many("load", [list(range(_ITEMS))] * runs)


def _completed(engine: Engine) -> int:
    query = "select count(*) from quantumflow.step_tasks where status = 'completed'"
    return int(engine.value(query))


def _check(engine: Engine, files: list[Path], runs: int) -> None:
    """Everything is done, once, with the outputs that the workers were told were recorded."""
    statuses = engine.rows("select status, count(*) from quantumflow.workflow_runs group by 1")
    assert statuses == [("completed", runs)]
    assert engine.problems() == []
    assert engine.messages() == 0
    stored = {
        (str(run_id), slug, index): output
        for run_id, slug, index, output in engine.rows(
            "select run_id, step_slug, task_index, output from quantumflow.step_tasks"
        )
    }
    assert len(stored) == runs * (_ITEMS + 2)
    acknowledged: Counter[tuple[str, str, int]] = Counter()
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            run_id, slug, index, output, outcome = json.loads(line)
            assert outcome in ("completed", "duplicate", "stale")
            key = (run_id, slug, index)
            if outcome != "stale":
                acknowledged[key] += 1
                assert stored[key] == output
    # An answer is missing where the worker never got one; no completion was acknowledged to two.
    assert set(acknowledged.values()) == {1}
    wrong = engine.rows(
        "select r.id from quantumflow.workflow_runs r where r.output is distinct from "
        "(select jsonb_build_object('last', t.output) from quantumflow.step_tasks t "
        "where (t.run_id, t.step_slug) = (r.id, 'last')) "
        "or quantumflow.step_output(r.id, 'each') is distinct from "
        "(select jsonb_agg(t.output order by t.task_index) from quantumflow.step_tasks t "
        "where (t.run_id, t.step_slug) = (r.id, 'each'))"
    )
    assert wrong == []


def test_nothing_is_lost_when_the_server_crashes_under_load(tmp_path: Path) -> None:
    """The server keeps its promises to disk here: fsync and synchronous commits are on."""
    build_extension()
    runs = 500
    durable = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    with throwaway_server(server_kind(), "crash", settings=durable) as server:
        dsn = server.create_database("load")
        _on(dsn, lambda engine: _start(engine, runs))
        with load_processes(dsn, 4, tmp_path) as files:
            for crash in (1, 2):
                _wait_for(server, lambda done, goal=crash * runs: done >= goal)  # type: ignore[misc]
                server.restart("immediate")
            _wait_for(server, lambda done: done == runs * (_ITEMS + 2))
        _on(dsn, lambda engine: _check(engine, files, runs))


def _on(dsn: str, work: Callable[[Engine], Any]) -> Any:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return work(Engine(connection))


def _wait_for(server: EmbeddedServer, enough: Callable[[int], bool]) -> None:
    with psycopg.connect(server.dsn("load"), autocommit=True) as connection:
        engine = Engine(connection)
        wait_until(lambda: enough(_completed(engine)), timeout=90, what="the workers get on")


def test_nothing_is_lost_when_connections_are_terminated(
    connection: psycopg.Connection[Any], dsn: str, tmp_path: Path
) -> None:
    engine = Engine(connection)
    runs = 300
    total = runs * (_ITEMS + 2)
    _start(engine, runs)
    chance = random.Random(0)
    terminate = (
        "select pg_terminate_backend(pid) from ("
        "select pid from pg_stat_activity where application_name = 'load' "
        "and datname = current_database() order by (state = 'active') desc, random() limit 1) s"
    )

    with load_processes(dsn, 4, tmp_path) as files:
        goal, terminated = 0, 0
        while goal < total - 100:
            goal = _completed(engine) + chance.randrange(20, 60)
            wait_until(lambda goal=goal: _completed(engine) >= min(goal, total), timeout=60)  # type: ignore[misc]
            terminated += bool(engine.value(terminate))
        wait_until(lambda: _completed(engine) == total, timeout=60)

    assert terminated >= 5
    _check(engine, files, runs)
