"""What a run costs that a step starts, with the task that waits for it, beside one of its own.

Both have one step, and go in portions of 100. The task that waits for it is a row and a message as
a map's task is, moved twice: that is most of the difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from counters.quiet import quiet_driver
from support.engine import Engine
from support.meter.counters import Meter
from support.meter.quantumflow import Quantumflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.meter.driver import Driver

RUNS = 300
PORTION = 100


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with quiet_driver() as driver:
        yield driver


def test_a_child_costs_what_it_did(driver: Driver) -> None:
    with (
        driver.server.database(Quantumflow().template(driver.server)) as database,
        psycopg.connect(database.dsn(counted=True), autocommit=True) as connection,
        driver.server.admin() as admin,
    ):
        meter = Meter(
            admin,
            database.dsn(),
            wal_folder=driver.server.data / "pg_wal",
            pg_waldump=driver.server.bindir / "pg_waldump",
            schema="quantumflow",
        )
        engine = Engine(connection)
        engine.define("leaf", [{"name": "work"}])
        each = {"name": "each", "type": "map", "flow": "leaf", "max_children": 1000}
        engine.define("parent", [each])
        costs = {}
        for slug in ("leaf", "parent"):
            _work(engine, slug, PORTION)
            with meter.measure(RUNS) as found:
                _work(engine, slug, RUNS)
            costs[slug] = found[0].as_dict()

    assert costs["leaf"]["wal_bytes"] == pytest.approx(2047, rel=0.05)
    assert costs["parent"]["wal_bytes"] == pytest.approx(3915, rel=0.05)
    assert costs["parent"]["statements"] == pytest.approx(1.66, rel=0.05)
    assert costs["parent"]["hot_share"] == 1.0


def _work(engine: Engine, slug: str, runs: int) -> None:
    """So many runs of one step, from their start to their end."""
    if slug == "leaf":
        engine.start_many(slug, [{}] * runs)
    else:
        engine.start(slug, [{}] * runs)
        engine.value("select settled from quantumflow.settle(1000)")
    while claimed := engine.claim(PORTION):
        engine.complete_all([(task, None) for task in claimed])
    query = "select count(*) from quantumflow.workflow_runs where status <> 'completed'"
    assert engine.value(query) == 0
