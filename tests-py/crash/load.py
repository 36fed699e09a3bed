"""The workflow that worker processes under load work on, and what is true when it is done."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Engine

_STEPS: list[dict[str, Any]] = [
    {"name": "first"},
    {"name": "each", "type": "map"},
    {"name": "again", "type": "loop", "until": "$iteration == 1", "max_iterations": 2},
    {"name": "last", "dependencies": ["first", "each", "again"]},
]
_ITEMS = 4
_ITERATIONS = 2

TASKS = _ITEMS + _ITERATIONS + 2
"""How many tasks a run has."""


def start_load(engine: Engine, runs: int) -> None:
    """Define the workflow, and start so many runs of it."""
    engine.define("load", _STEPS, max_lost=1000, timeout=86400)
    engine.start_many("load", [list(range(_ITEMS))] * runs)


def completed(engine: Engine) -> int:
    """How many of its tasks are completed."""
    query = (
        "select count(*) from quantumflow.step_tasks t "
        "join quantumflow.workflow_runs r on r.id = t.run_id "
        "where t.status = 'completed' and r.workflow_slug = 'load'"
    )
    return int(engine.value(query))


def check_load(engine: Engine, files: list[Path], runs: int) -> None:
    """Everything is done, once, with the outputs that the workers were told were recorded.

    Args:
        engine: Where.
        files: The workers' answers.
        runs: How many runs were started.
    """
    statuses = engine.rows(
        "select status, count(*) from quantumflow.workflow_runs "
        "where workflow_slug = 'load' group by 1"
    )
    assert statuses == [("completed", runs)]
    assert engine.problems() == []
    assert engine.messages() == 0
    stored = {
        (str(run_id), slug, index): output
        for run_id, slug, index, output in engine.rows(
            "select t.run_id, t.step_slug, t.task_index, t.output from quantumflow.step_tasks t "
            "join quantumflow.workflow_runs r on r.id = t.run_id and r.workflow_slug = 'load'"
        )
    }
    assert len(stored) == runs * TASKS
    acknowledged: Counter[tuple[str, str, int]] = Counter()
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            run_id, slug, index, output, outcome = json.loads(line)
            assert outcome in ("completed", "duplicate", "stale")
            key = (run_id, slug, index)
            if outcome != "stale":
                acknowledged[key] += 1
                assert stored[key] == output
    # An answer is missing where the worker never got one; no completion was acknowledged to two.
    assert set(acknowledged.values()) == {1}
    wrong = engine.rows(
        "select r.id from quantumflow.workflow_runs r where r.workflow_slug = 'load' "
        "and (r.output is distinct from "
        "(select jsonb_build_object('last', t.output) from quantumflow.step_tasks t "
        "where (t.run_id, t.step_slug) = (r.id, 'last')) "
        "or quantumflow.step_output(r.id, 'again') is distinct from "
        "(select t.output from quantumflow.step_tasks t "
        "where (t.run_id, t.step_slug, t.task_index) = (r.id, 'again', 1)) "
        "or quantumflow.step_output(r.id, 'each') is distinct from "
        "(select jsonb_agg(t.output order by t.task_index) from quantumflow.step_tasks t "
        "where (t.run_id, t.step_slug) = (r.id, 'each')))"
    )
    assert wrong == []
