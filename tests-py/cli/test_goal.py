"""quantumflow goal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from support.command import Command

RULES = [
    {
        "graph": [{"id": "pick"}, {"id": "pack", "goal": "pack", "depends_on": ["pick"]}],
        "pattern": "order",
    },
    {"graph": [{"id": "wrap"}], "pattern": "^pack$", "condition": "$.context.gift == true"},
    {"graph": [{"id": "box"}]},
]


def test_a_goal_from_its_rules_to_its_end(quantumflow: Command) -> None:
    assert quantumflow("goal", "list").stdout == "There are no such goals.\n"
    rules = quantumflow.lines("goal", "rules", "shop", "--add", json.dumps(RULES))
    assert [(rule["number"], rule["pattern"]) for rule in rules] == [
        *((1, "order"), (2, "^pack$"), (3, None)),
    ]
    again = quantumflow("goal", "rules", "shop", "--add", json.dumps(RULES)).stdout
    assert again.splitlines()[1].split() == ["1", "order", "pick,", "pack"]

    dry = quantumflow(
        *("goal", "run", "an order", "--by", "shop", "--dry-run", "--context", '{"gift": true}')
    ).stdout
    assert dry.splitlines() == ["  pick", "  pack", "    wrap  <- pick"]
    begun = quantumflow.json("goal", "run", "an order", "--by", "shop", "--key", "k")
    assert quantumflow.json("goal", "run", "x", "--by", "shop", "--key", "k") == begun
    goal_id = str(UUID(begun["goal_id"]))
    shown = quantumflow("goal", "show", goal_id).stdout.splitlines()
    assert shown[0].split(maxsplit=1) == ["goal", "an order"]
    assert [line.split() for line in shown[-3:]] == [
        *(["pick", "started"], ["pack"], ["box", "created", "<-", "pick"]),
    ]
    (listed,) = quantumflow.lines("goal", "list", "--status", "running")
    assert (listed["goal_id"], listed["tasks"], listed["done_tasks"]) == (goal_id, 2, 0)
    said = quantumflow("goal", "cancel", goal_id, "--reason", "no need").stdout
    assert said == f"{goal_id} is cancelled.\n"
    assert quantumflow("goal", "show", goal_id, expect=1).stdout.count("no need") == 1


def test_what_is_no_goal_and_no_rule_is_said(quantumflow: Command) -> None:
    quantumflow("goal", "rules", "shop", "--add", '[{"graph": [{"id": "a"}], "pattern": "x"}]')
    assert quantumflow.error("goal", "run", "tea", "--by", "shop", expect=4)["code"] == "QF601"
    assert quantumflow.error("goal", "run", "x", "--by", "nobody", expect=4)["code"] == "QF608"
    said = quantumflow("goal", "rules", "shop", "--add", '[{"grph": []}]', expect=2).stderr
    assert "a rule has no grph" in said
