"""The primary dies, and its synchronous replica takes over, while workers and a client go on.

They know both servers from the beginning, by a connection string with two hosts.

What nobody was told is done may be lost: the primary dies while commits wait for the replica.

Fails when they do not wait, without synchronous_standby_names.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chaos import flows
from chaos.flows import QUEUES, Kind
from chaos.runs import Started, answer_all, persist, prepare, settle, start
from chaos.verdict import judge
from chaos.workers import Workers
from crash.load import TASKS, check_load, completed, start_load
from crash.processes import load_processes
from quantumflow_client._connections import Connections
from support.engine import Engine
from support.replica import synchronous_replica, take_over
from support.server import build_extension, throwaway_server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quantumflow_client.embedded import EmbeddedServer

T = TypeVar("T")

_DURABLE = {"synchronous_commit": "on", "max_connections": "200"}

_CLIENT_WORKERS = "select from quantumflow.workers where name like 'chaos %%'"

_LOAD_RUNS = 150
_RUNS = 60


def _kinds() -> list[Kind]:
    """The workflows that keep to one queue, which is not that of the plain workers."""
    return [
        replace(kind, definition=kind.definition | {"queue": QUEUES[1]})
        for kind in flows.kinds(0)
        if not any("queue" in step for step in kind.steps.values())
    ]


def _both(first: EmbeddedServer, second: EmbeddedServer) -> str:
    """A connection string that leads to whichever of the two takes writes."""
    places = [conninfo_to_dict(server.dsn("failover")) for server in (first, second)]
    return make_conninfo(
        first.dsn("failover"),
        host=",".join(str(place["host"]) for place in places),
        port=",".join(str(place["port"]) for place in places),
        target_session_attrs="read-write",
        connect_timeout=5,
    )


def _ask(dsn: str, question: Callable[[Engine], T]) -> T:
    def ask() -> T:
        with psycopg.connect(dsn, autocommit=True) as connection:
            return question(Engine(connection))

    return persist(ask)


def _wait_for_load(dsn: str, goal: int) -> None:
    wait_until(lambda: _ask(dsn, completed) >= goal, timeout=120, what="the workers get on")


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost_when_the_replica_takes_over(tmp_path: Path) -> None:
    build_extension()
    chance = random.Random(1)
    kinds = _kinds()
    runs = [
        Started(UUID(int=chance.getrandbits(128)), kind, kind.input(chance))
        for kind in chance.choices(kinds, k=_RUNS)
    ]
    with throwaway_server("embedded", "primary", settings=_DURABLE) as primary:
        dsn = primary.create_database("failover")
        with psycopg.connect(dsn, autocommit=True) as connection:
            prepare(connection, kinds)
        with synchronous_replica(primary) as replica:
            dsn = _both(primary, replica)
            connections = Connections(dsn)
            with psycopg.connect(dsn, autocommit=True) as connection:
                start_load(Engine(connection), _LOAD_RUNS)
            with (
                load_processes(dsn, 2, tmp_path) as files,
                Workers(dsn, 2, tmp_path, concurrency=10, lease=3, queues=QUEUES[1:]) as workers,
            ):
                for run in runs[: _RUNS // 2]:
                    start(connections, run)
                _wait_for_load(dsn, _LOAD_RUNS * TASKS // 3)
                wait_until(
                    lambda: _ask(dsn, lambda engine: len(engine.rows(_CLIENT_WORKERS))) == 2,
                    what="the workers are there",
                )
                answer_all(connections)
                take_over(primary, replica)
                for run in runs[_RUNS // 2 :]:
                    start(connections, run)
                _wait_for_load(dsn, _LOAD_RUNS * TASKS)
                problems = settle(
                    lambda question: _ask(dsn, question),
                    patience=120,
                    meanwhile=lambda: answer_all(connections),
                )
                workers.end_all(30)
            connections.close()
            assert problems + workers.problems == []
            with psycopg.connect(replica.dsn("failover"), autocommit=True) as connection:
                check_load(Engine(connection), files, _LOAD_RUNS)
                verdict = judge(connection, runs, tmp_path)
    assert verdict.problems == []
    assert verdict.effects > 0
