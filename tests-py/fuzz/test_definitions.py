"""The definition parser with almost any JSON: it says what is wrong, or takes it and it runs.

QUANTUMFLOW_FUZZ_EXAMPLES says how many examples; by default few, and the same ones.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from fuzz.values import STRANGE, json_values

if TYPE_CHECKING:
    from fuzz.conftest import Connection, Database

_SETTINGS = settings(
    max_examples=4 * int(os.environ.get("QUANTUMFLOW_FUZZ_EXAMPLES", "15")),
    derandomize="QUANTUMFLOW_FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

_names = st.sampled_from(["a", "b", "c", "d", "e"])
_seconds = st.sampled_from([0, 0.5, 1, 60, 10**8, 0.0000001, 315360000])
_counts = st.sampled_from([1, 2, 3, 1.0, 1000000])
_limits = {
    "max_attempts": _counts,
    "max_lost": _counts,
    "retry_delay": _seconds,
    "timeout": st.sampled_from([0.001, 0.5, 60, 315360000]),
    "queue": st.sampled_from(["quantum_flow_queue", "other", "x" * 47]),
}
_conditions = st.sampled_from(
    [
        *("$.run[0] == 1", "strict $.run[*] > 1", "lax $.run.x == 1", "!($.run[0] == 1)"),
        # Of the run's input, an array, it is unknown; a few may not be asked at all.
        *("$.run.x == 1", '$status.a == "completed"', "$.a[0] == 7", "$.run[*] == $.run[*]"),
    ]
)
# A step that depends on steps before it alone, by either of the names of the key.
_step: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["single", "task", "map"]),
        "command": st.sampled_from(["do", "it's", "%s", "x" * 256]),
        "args": json_values,
        "start_delay": _seconds,
        **_limits,
    },
)
_gate = st.fixed_dictionaries(
    {},
    optional={
        "if": _conditions,
        "otherwise": st.sampled_from(["skip", "fail"]),
        "join": st.sampled_from(["all", "any", "none"]),
        "on_error": st.sampled_from(["fail", "continue"]),
        "fallback": json_values | st.just([1]),
        "tolerate": st.sampled_from([0, 1, 2.0, "5%", "100%"]),
    },
)
# What no worker is given; in place of what a worker would be told.
_waiting: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        *({"type": "sleep", "seconds": 0.25}, {"type": "sleep", "seconds": 10**8}),
        *({"type": "sleep", "at": "$.run[0].due"}, {"type": "sleep", "at": '"2030-01-31"'}),
        *({"type": "wait"}, {"type": "wait", "timeout": 60}, {"type": "wait", "signal": "it's"}),
        {"type": "wait", "signals": ["go", "stop"]},
        # Not quite.
        *({"type": "sleep"}, {"type": "wait", "signals": []}, {"type": "wait", "max_lost": 2}),
    ]
)
# What is done again and again; each output is [7].
_looping: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"type": "loop", "until": "$.last[0] == 7", "max_iterations": 3, "max_attempts": 1},
        {"type": "loop", "while": "$iteration < 3", "max_iterations": 9, "delay": 1.5, "keep": 1},
        # Without an end, or with one that nobody knows.
        {"type": "loop", "until": "$iteration > 5", "max_iterations": 2, "command": "do"},
        {
            "type": "loop",
            "while": "$.last.x == $.run[0]",
            "max_iterations": 100000,
            "keep": 1000000,
        },
        # Not quite.
        *({"type": "loop", "until": "1 == 1"}, {"type": "loop", "max_iterations": 2, "delay": 0}),
    ]
)
# What asks for a plan.
_planning: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"type": "plan", "may_use": ["do"], "max_steps": 3},
        {"type": "plan", "may_use": ["do"], "may_use_types": ["plan", "flow"], "queue": "other"},
        # Not quite.
        *({"type": "plan"}, {"type": "plan", "may_use": ["do"], "may_use_types": ["wait"]}),
    ]
)
_change = st.tuples(
    st.sampled_from(["name", "slug", "type", "dependencies", "depends_on", "map_over", "args"])
    | st.sampled_from(["if", "join", "after", "prefer_after", "fallback", "tolerate"])
    | st.sampled_from(["seconds", "at", "signal", "signals", "run_timeout"])
    | st.sampled_from(["until", "while", "max_iterations", "delay", "keep"])
    | st.sampled_from(["may_use", "may_use_types", "may_use_flows", "max_steps"])
    | st.sampled_from(
        ["steps", "title", "version", "queue", "timeout", "max_attempts", "on_failure"]
    )
    | st.sampled_from(STRANGE),
    json_values | _names | st.lists(_names, max_size=3),
)


@st.composite
def definitions(draw: st.DrawFn) -> Any:
    """A definition that is right, or has a few things wrong with it."""
    names = draw(st.lists(_names, unique=True, min_size=1, max_size=5))
    steps = []
    for place, name in enumerate(names):
        before: list[str] = (
            draw(st.lists(st.sampled_from(names[:place]), max_size=3)) if place else []
        )
        # Most of them are for workers.
        kind: int = draw(st.integers(0, 5))
        own: dict[str, Any] = draw({0: _waiting, 1: _looping, 2: _planning}.get(kind, _step))
        step = {draw(st.sampled_from(["name", "slug"])): name, **own}
        if before or place % 2:
            step[draw(st.sampled_from(["dependencies", "depends_on"]))] = before
        if step.get("type") == "map" and before:
            step["map_over"] = draw(st.sampled_from(before))
        is_gated: bool = draw(st.booleans())
        if is_gated:
            step.update(_that_go_together(step, before, draw(_gate)))
        others = [earlier for earlier in names[:place] if earlier not in before]
        if others and is_gated:
            after: list[str] = draw(st.lists(st.sampled_from(others), max_size=2))
            step[draw(st.sampled_from(["after", "prefer_after"]))] = after
        steps.append(step)
    whole: dict[str, Any] = {
        "slug": "fuzzed",
        "steps": draw(st.permutations(steps)),
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "version": st.just("1.0"),
                    "title": st.sampled_from(STRANGE),
                    "on_complete": st.just("tell"),
                    "on_failure": st.just("mourn"),
                    "run_timeout": st.sampled_from([10**6, 315360000]),
                    **_limits,
                },
            )
        ),
    }
    for key, value in draw(st.lists(_change, max_size=2)):
        draw(st.sampled_from([whole, *whole["steps"]] if _is_whole(whole) else [whole]))[key] = (
            value
        )
    return whole


def _that_go_together(step: Any, before: list[str], gate: Any) -> Any:
    is_map = step.get("type") == "map"
    left_out = {
        "join": not before or (is_map and gate.get("join") == "none"),
        "otherwise": "if" not in gate,
        "on_error": "fallback" in gate,
        "tolerate": not is_map,
    }
    return {key: value for key, value in gate.items() if not left_out.get(key)}


def _is_whole(definition: dict[str, Any]) -> bool:
    steps = definition["steps"]
    return isinstance(steps, list) and all(isinstance(step, dict) for step in steps)


def _value(connection: Connection, query: str, *parameters: Any) -> Any:
    return (connection.execute(query, parameters).fetchone() or (None,))[0]


@_SETTINGS
@given(definition=definitions() | json_values)
def test_a_definition_is_refused_with_its_first_problem_or_runs(
    database: Database, definition: Any
) -> None:
    text = json.dumps(definition)
    note(text)
    connection = database.connection
    with database.undone():
        problems = connection.execute(
            "select code, path, message from quantumflow.validate_flow(%s)", [text]
        ).fetchall()
        if problems:
            with pytest.raises(psycopg.Error) as caught, connection.transaction():
                connection.execute("select quantumflow.define_flow(%s)", [text])
            assert caught.value.sqlstate == problems[0][0]
            assert caught.value.diag.message_primary == problems[0][2]
            assert database.contents() == database.at_rest
            return
        version = _value(connection, "select (quantumflow.define_flow(%s)).version", text)
        slug = definition["slug"]
        shown = _value(connection, "select quantumflow.get_flow(%s)::text", slug)
        assert version == _value(connection, "select (quantumflow.define_flow(%s)).version", shown)
        assert shown == _value(connection, "select quantumflow.get_flow(%s)::text", slug)
        status = _run_to_its_end(connection, slug)
        # Only a condition can fail it, one that is unknown or must be true; a sleep until never; or
        # a loop.
        paths = {"if", "at", "until", "while"}
        has_path = any(step.keys() & paths for step in definition["steps"])
        assert status == "completed" or (status == "failed" and has_path)
        assert database.problems() == []


def _run_to_its_end(connection: Connection, slug: str) -> str:
    """Start it, complete whatever comes with an array, and wait for nothing."""
    run_id = _value(connection, "select quantumflow.start_flow(%s, '[1, 2]')", slug)
    while connection.execute(
        "select quantumflow.complete_task(run_id, step_slug, task_index, '[7]') "
        "from quantumflow.step_tasks where run_id = %s and status = 'queued'",
        [run_id],
    ).fetchall():
        pass
    return str(
        _value(connection, "select status from quantumflow.workflow_runs where id = %s", run_id)
    )
