"""Work that comes and is pruned leaves the files as they are: autovacuum keeps up by itself.

Each cycle waits until autovacuum has been at every table, however long that takes, so the sizes
tell of the tables' settings and not of the machine's speed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest

from support.engine import Engine
from support.meter.quantumflow import Quantumflow
from support.meter.server import Server
from support.server import build_extension
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLES = (
    "quantumflow.workflow_runs",
    "quantumflow.step_states",
    "quantumflow.step_tasks",
    "pgmq.q_quantum_flow_queue",
)
_RUNS = 2_500


@pytest.fixture
def engine() -> Iterator[Engine]:
    build_extension()
    settings = {"autovacuum_naptime": "1s", "fsync": "off"}
    with (
        Server(settings) as server,
        server.database(Quantumflow().template(server)) as database,
        psycopg.connect(database.dsn(), autocommit=True) as connection,
    ):
        yield Engine(connection)


def test_tables_do_not_grow_with_what_has_passed_through(engine: Engine) -> None:
    engine.define("single", [{"name": "only"}])
    needed: dict[str, int] = {}
    for _ in range(6):
        vacuums = _vacuums(engine)
        engine.start_many("single", [{}] * _RUNS)
        assert engine.drain(500) == _RUNS
        # After a vacuum it may be anything from a page on: one that others wait for cuts nothing.
        needed = needed or _pages(engine)
        assert engine.value("select quantumflow.prune('0 s', 100000)") == _RUNS
        wait_until(partial(_all_vacuumed, engine, vacuums), timeout=60)

    late = _pages(engine)
    assert {name: (needed[name], now) for name, now in late.items() if now > 3 * needed[name]} == {}


def _vacuums(engine: Engine) -> dict[str, int]:
    engine.value("select pg_stat_force_next_flush()")
    engine.value("select pg_stat_clear_snapshot()")
    return dict(
        engine.rows(
            "select format('%%I.%%I', schemaname, relname), autovacuum_count "
            "from pg_stat_all_tables where relid = any (%s::regclass[])",
            list(_TABLES),
        )
    )


def _all_vacuumed(engine: Engine, before: dict[str, int]) -> bool:
    return all(count > before[name] for name, count in _vacuums(engine).items())


def _pages(engine: Engine) -> dict[str, int]:
    """The pages of each table and index."""
    return dict(
        engine.rows(
            "select c.oid::regclass::text, (pg_relation_size(c.oid) / 8192)::int + 1 "
            "from pg_class c left join pg_index i on i.indexrelid = c.oid "
            "where coalesce(i.indrelid, c.oid) = any (%s::regclass[])",
            list(_TABLES),
        )
    )
