"""Runs that steps of others start, on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    from support.command import Command

Define = Callable[[dict[str, Any]], str]


def test_children_are_shown_and_listed(
    quantumflow: Command, define: Define, connection: psycopg.Connection[Any]
) -> None:
    define({"slug": "leg", "steps": [{"name": "fly"}]})
    steps = [{"name": "leg", "type": "flow", "flow": "leg", "timeout": 60}]
    run_id = quantumflow.start(define({"slug": "journey", "steps": steps}))
    assert "starts a run of leg, and waits for it, 60 s at most" in (
        quantumflow("flow", "show", "journey").stdout
    )
    connection.execute("select quantumflow.settle()")
    (listed,) = quantumflow.lines("list", "--children-of", run_id)
    assert listed["parent"] == run_id
    child = listed["run_id"]
    shown = quantumflow("status", run_id, "--tree").stdout
    assert f"waits for run {child} of leg" in shown
    assert f"leg[0]  leg  started  {child}" in shown
    assert child not in quantumflow("list").stdout
    assert child in quantumflow("list", "--children").stdout
    quantumflow("cancel", run_id)
    assert quantumflow.json("status", child, expect=1)["status"] == "cancelled"
