"""Folders of extension/sql are floors: a call goes to its own floor or further down."""

from __future__ import annotations

from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from rooms.rooms import Called, bodies, calls, code, floors, places

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg


def climbs(found: list[Called], where: Mapping[str, str], order: list[str]) -> list[str]:
    """The calls that go up, each with both places."""

    def floor(name: str) -> int:
        return order.index(where[name].partition("/")[0])

    return [
        f"{where[call.caller]}: {call.caller} calls {call.callee} of {where[call.callee]}"
        for call in found
        if floor(call.callee) > floor(call.caller)
    ]


def circle(found: list[Called], where: Mapping[str, str]) -> list[str]:
    """Files that call each other in a circle, if there are any."""
    files: dict[str, set[str]] = defaultdict(set)
    for call in found:
        if where[call.caller] != where[call.callee]:
            files[where[call.caller]].add(where[call.callee])
    try:
        TopologicalSorter(files).prepare()
    except CycleError as error:
        return [str(file) for file in error.args[1]]
    return []


def test_a_call_only_goes_down(connection: psycopg.Connection[Any]) -> None:
    where = places()
    found = list(calls(connection))
    assert climbs(found, where, floors()) == []
    assert len(found) > 300  # Were they not found, none would climb.


def test_files_do_not_call_each_other_in_a_circle(connection: psycopg.Connection[Any]) -> None:
    assert circle(list(calls(connection)), places()) == []


def test_each_function_has_one_place(connection: psycopg.Connection[Any]) -> None:
    assert sorted(set(bodies(connection)) - set(places())) == []


def test_the_manifest_tells_the_order_of_floors() -> None:
    order = floors()
    assert order[:4] == ["base", "queue", "definition", "step"]
    assert order[-4:] == ["tend", "inspect", "mend", "access"]


def test_a_call_that_climbs_is_named() -> None:
    where = {"_low": "base/low.sql", "high": "run/high.sql"}
    found = [Called("high", "_low"), Called("_low", "high")]
    assert climbs(found, where, ["base", "run"]) == [
        "base/low.sql: _low calls high of run/high.sql"
    ]
    assert circle(found, where)


def test_what_is_only_said_is_no_call() -> None:
    assert "doctor" not in code("raise 'x' using hint = 'select quantumflow.doctor()'; -- _a()")
    assert "quantumflow._a(" in code("execute format('select quantumflow._a(%L)', p_b);")
    assert "quantumflow._a(" in code("execute $$select quantumflow._a()$$;")
