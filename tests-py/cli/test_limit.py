"""quantumflow limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.command import Command


def test_a_limit_from_its_beginning_to_its_end(quantumflow: Command) -> None:
    assert quantumflow("limit", "list").stdout == "There are no limits.\n"
    said = quantumflow("limit", "set", "openai", "--at-once", 2, "--per-second", 0.5).stdout
    assert said == "It is set.\n"
    (listed,) = quantumflow.lines("limit", "list")
    assert listed == {
        "limit_name": "openai",
        "key": None,
        "at_once": 2,
        "per_second": 0.5,
        "running": 0,
        "waiting": 0,
    }
    head, line = quantumflow("limit", "list").stdout.splitlines()
    assert head.split() == ["limit", "key", "at", "once", "a", "second", "running", "waiting"]
    assert line.split() == ["openai", "2", "0.5", "0", "0"]
    assert "limits nothing" in quantumflow("limit", "set", "openai", expect=4).stderr
    assert quantumflow("limit", "remove", "openai").stdout == "It is removed.\n"
    assert quantumflow("limit", "remove", "openai").stdout == "There is no such limit.\n"
