"""What a task costs, in counters that do not depend on the machine: speed cannot rot unseen.

Each figure is held within 5 %, both ways: one that got better is to be written down here as well,
lest it gets worse again unseen. Map tasks, single-step runs and chain steps are counted as the
benchmarks count them, starts included, at batches of 100, on a server that does nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from counters.quiet import quiet_driver
from support.engine import Engine
from support.meter.counters import Cost
from support.meter.driver import Driver, Load
from support.meter.quantumflow import Quantumflow
from support.meter.shapes import CHAIN, MAP, SINGLE, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOLERANCE = 0.05


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with quiet_driver() as driver:
        yield driver


@pytest.mark.parametrize(
    ("shape", "load", "system", "expected"),
    [
        pytest.param(
            MAP,
            Load(items=2_000),
            Quantumflow(),
            Cost(1324, 0.333, 0.0205, 32.69, 5.003, 1.0, 0),
            id="map task",
        ),
        pytest.param(
            SINGLE,
            Load(2_000),
            Quantumflow(),
            Cost(2087, 0.48, 0.03, 65.31, 7, 1.0, 0),
            id="single-step run",
        ),
        pytest.param(
            CHAIN,
            Load(200),
            Quantumflow(),
            Cost(1945, 0.407, 0.021, 74.77, 6.1, 1.0, 0),
            id="chain step",
        ),
        pytest.param(
            CHAIN,
            Load(200),
            Quantumflow(hands_over=True),
            Cost(1476, 0.4055, 0.0115, 63.87, 4.3, 1.0, 0),
            id="chain step handed over",
        ),
        # One run at a time, by a worker that has nothing else: each result passes its message on.
        pytest.param(
            CHAIN,
            Load(1),
            Quantumflow(batch=1, hands_over=True, commands=[step.name for step in CHAIN.steps]),
            Cost(1442, 12.2, 1.2, 137.5, 4.3, 1.0, 0),
            id="chain step alone",
        ),
    ],
)
def test_a_task_costs_what_it_did(
    driver: Driver, shape: Shape, load: Load, system: Quantumflow, expected: Cost
) -> None:
    found = driver.cost(system, shape, load).as_dict()

    off = {
        name: f"{found[name]:.4g}, not {value:.4g}"
        for name, value in expected.as_dict().items()
        if found[name] != pytest.approx(value, rel=_TOLERANCE)
    }
    assert off == {}


def test_a_signal_that_is_settled_at_once_makes_no_plan(driver: Driver) -> None:
    """What a session has planned once it does not plan again; that of dynamic SQL it would."""
    with (
        driver.server.database(Quantumflow().template(driver.server)) as database,
        driver.server.admin() as admin,
        psycopg.connect(database.dsn(counted=True), autocommit=True) as connection,
    ):
        engine = Engine(connection)
        engine.define("w", [{"name": "go", "type": "wait"}, {"name": "a", "dependencies": ["go"]}])
        runs = engine.start_many("w", [{}] * 20)
        connection.execute("set pg_stat_statements.track_planning = on")
        send = "select quantumflow.send_signal(%s, 'go')"
        for run_id in runs[:10]:
            assert engine.value(send, run_id) == "delivered"
        admin.execute("select pg_stat_statements_reset()")
        for run_id in runs[10:]:
            assert engine.value(send, run_id) == "delivered"
        calls, plans = admin.execute(
            "select sum(calls), sum(plans) from pg_stat_statements where not toplevel"
        ).fetchone() or (0, 0)
    assert plans == 0
    assert calls / 10 == pytest.approx(55, rel=_TOLERANCE)
