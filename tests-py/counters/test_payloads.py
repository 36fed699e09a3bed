"""A byte of output is logged once for each place where it is kept, and for nobody who reads it.

An output is kept on its task; a leaf's once more in its run's output, a map's once more in the
step's array. The rest (page headers, chunks of large values) is a small share. The payloads cannot
be compressed, no two are equal, and pages are never logged whole.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from counters.quiet import quiet_driver
from support.engine import Engine
from support.meter.quantumflow import Quantumflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.meter.driver import Driver

_FLOWS: dict[str, list[dict[str, Any]]] = {
    "inner": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}],
    "fan": [{"name": "a"}, *({"name": f"b{n}", "dependencies": ["a"]} for n in range(10))],
    "leaf": [{"name": "a"}],
    "mapped": [{"name": "a", "type": "map"}, {"name": "b", "dependencies": ["a"]}],
}


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with quiet_driver() as driver:
        yield driver


@pytest.mark.parametrize(
    ("slug", "most"), [("inner", 1.6), ("fan", 1.6), ("leaf", 2.7), ("mapped", 2.7)]
)
@pytest.mark.parametrize(("size", "tasks"), [(1_000, 100), (64_000, 10)])
def test_outputs_are_logged_where_they_are_kept(
    driver: Driver,
    slug: str,
    most: float,
    size: int,
    tasks: int,
    record_property: Callable[[str, object], None],
) -> None:
    with (
        driver.server.database(Quantumflow().template(driver.server)) as database,
        psycopg.connect(database.dsn(), autocommit=True) as connection,
    ):
        engine = Engine(connection)
        engine.define(slug, _FLOWS[slug])
        _logged(engine, slug, tasks, 0)

        without = _logged(engine, slug, tasks, 0)
        found = _logged(engine, slug, tasks, size)

    share = (found - without) / (tasks * size)
    record_property("log bytes a byte", share)
    assert 1 <= share <= most


def _logged(engine: Engine, slug: str, tasks: int, size: int) -> float:
    """The bytes of log of so many tasks of step a, with outputs of that size, and what follows."""
    before = engine.value("select pg_current_wal_insert_lsn()")
    if slug == "mapped":
        engine.start(slug, list(range(tasks)))
    else:
        engine.start_many(slug, [{}] * tasks)
    while claimed := engine.claim(100):
        outputs = [_payload(size) if task.step_slug == "a" else None for task in claimed]
        outcomes = engine.complete_all(list(zip(claimed, outputs, strict=True)))
        assert set(outcomes) == {"completed"}
    return float(engine.value("select pg_current_wal_insert_lsn() - %s::pg_lsn", before))


def _payload(size: int) -> str:
    return base64.b64encode(os.urandom(size * 3 // 4)).decode()
