"""What a limit holds back costs nobody: no claim reads it, and the next one is let go by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plans.measuring import Meter, keep_autovacuum_away
from support.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Connect

pytestmark = pytest.mark.system


@pytest.mark.parametrize("waiting", [3_000, pytest.param(100_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("is_analyzed", [False, True], ids=["no statistics", "empty"])
def test_what_a_limit_holds_back_costs_nobody(
    connect: Connect,
    record_property: Callable[[str, object], None],
    waiting: int,
    is_analyzed: bool,
) -> None:
    engine = Engine(connect())
    keep_autovacuum_away(engine)
    slow = {"name": "slow", "type": "map", "limit": {"name": "api", "key": "$.item.of"}}
    engine.define("limited", [slow], timeout=1_000_000)
    engine.define("free", [{"name": "only"}], timeout=1_000_000)
    engine.value("select limit_name from quantumflow.set_limit('api', 2)")
    worker = Meter(Engine(connect()))
    if is_analyzed:
        engine.connection.execute("analyze")

    def free() -> int:
        """The pages of a claim of what is not limited."""
        return worker.claim(20, ["only"])

    def turn() -> int:
        """Those of an attempt that ends and lets the next one go, and of the claim of that."""
        pages = worker.claim(1, ["slow"])
        assert worker.claimed() == [("slow", 1)]
        return pages + worker.complete()

    engine.start_many("free", [{}] * 200)
    engine.start("limited", [{"of": n % 5} for n in range(60)])
    few = [(free(), turn()) for _ in range(5)][1:]
    engine.start("limited", [{"of": "large"}] * waiting)
    many = [(free(), turn()) for _ in range(5)][1:]
    record_property("pages of a claim of others, of a turn", (few, many))
    # A larger index has a level more.
    assert max(found for found, _ in many) <= 1.25 * max(found for found, _ in few)
    assert max(found for _, found in many) <= 1.5 * max(found for _, found in few)
    keys = "select count(*) from quantumflow.list_limits() where waiting > 0"
    assert engine.value(keys) == 6
