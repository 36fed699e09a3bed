"""Many children, children of children, and long loops: each costs what one of few does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from counters.quiet import quiet_driver
from support.engine import Engine
from support.meter.counters import Meter
from support.meter.quantumflow import Quantumflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.meter.driver import Driver

PORTION = 100
TABLES = ("workflow_runs", "step_states", "step_tasks", "task_failures", "_map_counters")


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with quiet_driver() as driver:
        yield driver


@pytest.fixture
def measured(driver: Driver) -> Iterator[tuple[Engine, Meter]]:
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
        most = {"max_children": 1000}
        engine.define("each", [{"name": "leaf", "type": "map", "flow": "leaf"} | most])
        engine.define("every", [{"name": "each", "type": "map", "flow": "each"} | most])
        yield engine, meter


def _cost(engine: Engine, meter: Meter, slug: str, items: Any, children: int) -> dict[str, float]:
    """What a run costs for each of its children, from its start to its end, in portions."""
    with meter.measure(children) as found:
        engine.start(slug, items)
        while engine.value("select settled from quantumflow.settle(%s)", PORTION) + engine.drain(
            PORTION
        ):
            pass
    rows = sum(engine.value(f"select count(*) from quantumflow.{table}") for table in TABLES)
    assert engine.rows("select distinct status from quantumflow.workflow_runs") == [("completed",)]
    assert engine.problems() == []
    assert engine.value("select count(*) from quantumflow._tree_work") == 0
    assert engine.messages("quantum_flow_system") == 0
    _prune(engine)
    cost = found[0].as_dict()
    return {
        "rows": rows / children,
        **{name: cost[name] for name in ("wal_bytes", "statements", "index_entries")},
    }


def _prune(engine: Engine) -> None:
    while engine.value("select quantumflow.prune('0 s')"):
        pass
    assert engine.value("select count(*) from quantumflow.workflow_runs") == 0


def _compared(
    record: Callable[[str, object], None],
    few: dict[str, float],
    many: dict[str, float],
    most: float = 1.05,
) -> None:
    record("for each, of few", {name: round(value, 2) for name, value in few.items()})
    record("for each, of many", {name: round(value, 2) for name, value in many.items()})
    for name, value in many.items():
        assert value <= few[name] * most, name


@pytest.mark.parametrize(
    ("few", "many"),
    [
        pytest.param(100, 200, id="200"),
        pytest.param(100, 1_000, id="1,000", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
def test_a_map_of_many_children_costs_so_many_times_what_one_does(
    measured: tuple[Engine, Meter],
    record_property: Callable[[str, object], None],
    few: int,
    many: int,
) -> None:
    _cost(*measured, "each", [0] * few, few)
    found = [_cost(*measured, "each", [0] * number, number) for number in (few, many)]
    _compared(record_property, found[0], found[1])


@pytest.mark.parametrize(
    ("few", "many"),
    [
        pytest.param(5, 8, id="8 by 8", marks=[pytest.mark.long]),
        pytest.param(20, 100, id="100 by 100", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_maps_of_maps_of_children_cost_so_many_times_what_one_does(
    measured: tuple[Engine, Meter],
    record_property: Callable[[str, object], None],
    few: int,
    many: int,
) -> None:
    found = []
    for number in (few, few, many):
        items = [[0] * number] * number
        found.append(_cost(*measured, "every", items, number * (number + 1)))
    _compared(record_property, found[1], found[2])


@pytest.mark.parametrize(
    ("iterations", "keep"),
    [
        pytest.param(24, 3, id="24"),
        pytest.param(10_000, 100, id="10,000", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_a_long_loop_leaves_what_it_keeps_with_its_failures_and_children(
    measured: tuple[Engine, Meter],
    record_property: Callable[[str, object], None],
    iterations: int,
    keep: int,
) -> None:
    engine, meter = measured
    engine.define("fragile", [{"name": "work"}], max_attempts=1)
    loop = {"type": "loop", "flow": "fragile", "max_attempts": 2, "keep": keep}
    until = {"until": f"$iteration >= {iterations - 1}", "max_iterations": iterations}
    engine.define("looping", [{"name": "again"} | loop | until])
    run_id = engine.start("looping")
    part = iterations // 6
    costs = []
    done = 0
    for number in (part, part, iterations - 3 * part, part):
        with meter.measure(number) as found:
            for _ in range(number):
                _iteration(engine)
        done += number
        costs.append(found[0].as_dict())
    assert done == iterations
    assert engine.run_status(run_id) == "completed"
    # Late ones cost what early ones do, the first part apart, in which nothing is dropped yet.
    few, many = (
        {name: cost[name] for name in ("wal_bytes", "statements", "index_entries")}
        for cost in (costs[1], costs[3])
    )
    _compared(record_property, few, many, 1.05 if part > 100 else 1.15)
    counted = {
        "iterations": "select count(*) from quantumflow.step_tasks where step_slug = 'again'",
        "failures": "select count(*) from quantumflow.task_failures where step_slug = 'again'",
        "children": "select count(*) from quantumflow.workflow_runs"
        " where parent_run_id is not null",
        "failures of children": "select count(*) from quantumflow.task_failures"
        " where step_slug = 'work'",
    }
    found_rows = {what: engine.value(query) for what, query in counted.items()}
    assert found_rows == dict.fromkeys(counted, keep)
    assert engine.problems() == []
    for table in ("_tree_work", "_unkept_runs"):
        assert engine.value(f"select count(*) from quantumflow.{table}") == 0, table


def _iteration(engine: Engine) -> None:
    """One whose run fails, is retried in place, and completes."""
    engine.value("select settled from quantumflow.settle()")
    (task,) = engine.claim(1)
    assert engine.fail(task) == "failed"
    engine.value("select settled from quantumflow.settle()")
    (task,) = engine.claim(1)
    assert engine.complete(task, 1) == "completed"
    engine.value("select settled from quantumflow.settle()")
