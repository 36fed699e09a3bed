"""An iteration costs the same, late in a loop as at its beginning, and leaves what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from counters.quiet import quiet_driver
from support.engine import Engine
from support.meter.quantumflow import Quantumflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.meter.driver import Driver

_KEEP = 20

# A handler that fails once an iteration would leave a failure each.
_PLAY = """
do $play$
declare
  v_worker uuid := gen_random_uuid();
  v_task   quantumflow.task_exchange;
begin
  for n in {first} .. {last} loop
    select * into strict v_task
    from quantumflow.complete_and_claim(
      v_worker,
      coalesce((select jsonb_agg(to_jsonb(t) || jsonb_build_object('output', n))
        from quantumflow.step_tasks t where t.status = 'started'), '[]'))
    where outcome is null;
    commit;
  end loop;
end $play$
"""


@pytest.fixture
def driver() -> Iterator[Driver]:
    with quiet_driver() as driver:
        yield driver


@pytest.mark.parametrize(
    "iterations",
    [
        pytest.param(240, id="240"),
        pytest.param(10_000, id="10,000", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_an_iteration_costs_the_same_however_many_there_were(
    driver: Driver, iterations: int
) -> None:
    with (
        driver.server.database(Quantumflow().template(driver.server)) as database,
        psycopg.connect(database.dsn(), autocommit=True) as connection,
    ):
        engine = Engine(connection)
        loop = {"type": "loop", "until": "$.last < 0", "max_iterations": 100_000, "keep": _KEEP}
        engine.define("looping", [{"name": "again", **loop}])
        engine.start("looping", {})
        part = iterations // 6
        _play(engine, 0, part - 1)

        early = _logged(engine, part, 2 * part - 1)
        _play(engine, 2 * part, 5 * part - 1)
        late = _logged(engine, 5 * part, 6 * part - 1)

        assert late == pytest.approx(early, rel=0.05)
        assert 1_000 < late / part < 4_000
        # What has ended and is kept, and the one that goes on.
        assert engine.value("select count(*) from quantumflow.step_tasks") == _KEEP + 1
        assert engine.rows("select * from quantumflow.check_state()") == []


def _play(engine: Engine, first: int, last: int) -> None:
    engine.connection.execute(_PLAY.format(first=first, last=last).encode())


def _logged(engine: Engine, first: int, last: int) -> int:
    """How many bytes of log so many iterations write."""
    engine.connection.execute("checkpoint")
    before = engine.value("select pg_current_wal_insert_lsn()")
    _play(engine, first, last)
    return int(engine.value("select pg_current_wal_insert_lsn() - %s::pg_lsn", before))
