"""Graphs of tasks of anything: problems are listed, nothing else raised, nothing left behind."""

from __future__ import annotations

import json
import random
from typing import Any

import psycopg

_IDS = [
    "a",
    "b",
    "A",
    "a-b",
    "a_b",
    "input",
    "run",
    "",
    " ",
    "ü",
    "x" * 200,
    1,
    1.5,
    None,
    {},
    [],
    "1",
    "__",
    "a;b",
    "%s",
]
_ODD: list[Any] = [
    *_IDS,
    True,
    False,
    -1,
    1e300,
    "$.run",
    "$.**",
    "lax $",
    "map",
    "sleep",
    [["a"]],
    {"a": None},
]
_KEYS = [
    *(
        "id",
        "name",
        "slug",
        "description",
        "depends_on",
        "dependencies",
        "critical",
        "goal",
        "args",
    ),
    *("command", "type", "after", "map_over", "chunk_size", "if", "otherwise", "join", "on_error"),
    *("fallback", "tolerate", "timeout", "max_attempts", "retry_delay", "queue", "flow", "signal"),
    *("on_complete", "decomposer", "depth", "whole", "tasks", ""),
]


def _task(chance: random.Random) -> Any:
    if chance.random() < 0.05:
        return chance.choice(_ODD)
    task: dict[str, Any] = {"id": chance.choice(_IDS[:5])}
    for _ in range(chance.randrange(4)):
        key = chance.choice(_KEYS)
        value = chance.choice(_ODD)
        if key in ("depends_on", "dependencies", "after") and chance.random() < 0.8:
            value = [chance.choice(_IDS) for _ in range(chance.randrange(3))]
        task[key] = value
    return task


def _graph(chance: random.Random) -> Any:
    tasks = [_task(chance) for _ in range(chance.randrange(5))]
    return chance.choice(
        [tasks, {"tasks": tasks}, {"steps": tasks, "slug": "x"}, chance.choice(_ODD)]
    )


_LEFT = """
select (select count(*) from quantumflow.workflows), (select count(*) from quantumflow.goals),
  (select count(*) from quantumflow.methods), (select count(*) from quantumflow._hidden_runs)
"""


def _raised(connection: psycopg.Connection[Any], call: str, text: str) -> str | None:
    """The code of what a call raised; None: it did not."""
    try:
        with connection.transaction():
            connection.execute(call.encode(), [text])
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return None


def test_whatever_a_graph_is_its_problems_are_listed(connection: psycopg.Connection[Any]) -> None:
    chance = random.Random(21)
    connection.execute("select quantumflow.register_decomposer('fuzz', 'rules')")
    connection.execute(
        """select quantumflow.describe_command('a', 'x', '{"type": "object",
        "properties": {"n": {"type": "array", "items": {"type": "object"}}}}')"""
    )
    deep = json.loads("[" * 900 + "]" * 900)
    graphs = [_graph(chance) for _ in range(150)]
    graphs += [deep, [{"id": "a", "args": {"n": deep}}], [{"id": f"t{n}"} for n in range(20_000)]]
    good = 0
    for graph in graphs:
        text = json.dumps(graph)
        connection.execute(
            "select quantumflow._task_graph_problems(%s, row('{a,b,A}', '{single,map}', 100, true, "
            "'{\"timeout\": 9}', '{}')::quantumflow._planned)",
            [text],
        )
        for call in (
            "select quantumflow.create_flow_from_graph(%s)",
            "select quantumflow.add_method('fuzz', %s)",
        ):
            before = connection.execute(_LEFT).fetchone()
            code = _raised(connection, call, text)
            good += code is None
            if code is not None:
                assert code.startswith("QF"), text[:500]
                assert connection.execute(_LEFT).fetchone() == before
    assert good > 10
