"""Arguments for any function: likely and unlikely values of each type, as text for the server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from support.functions import Argument

Strategy = st.SearchStrategy[Any]

STRANGE = [
    "",
    " ",
    "_on_failure",
    "a",
    "A",
    "run",
    "x" * 47,
    "x" * 48,
    "x" * 129,
    "x" * 5000,
    "it's",
    'a"b',
    "'; drop table quantumflow.settings; --",
    "%s %I %L",
    "pg_temp.a",
    "ß€🎈",
    "a\nb",
    "\\",
    "{}",
    "null",
    "1e5",
    "-1",
    "NaN",
    "Infinity",
]
_INTEGERS = ["0", "1", "2", "5", "100", "-1", "10000", "10001", "2147483647", "-2147483648"]
_BIGINTS = [*_INTEGERS, "9007199254740992", "9223372036854775807", "-9223372036854775808"]
_INTERVALS = [
    *("0", "1 s", "30 s", "1 day", "1 us", "-1 s", "1 month", "10 years", "-178000000 years"),
    *("178000000 years", "2147483647 days", "9223372036854 s", "infinity", "soon"),
]
_MOMENTS = [
    *("now", "epoch", "infinity", "-infinity", "2035-01-01", "9998-12-31", "9999-01-01"),
    *("4713-01-01 BC", "294276-12-31", "yesterday", "later"),
]
_UUIDS = ["00000000-0000-0000-0000-000000000000", "F" * 32, "{" + "1" * 32 + "}", "no uuid"]

_KEYS = [
    *("slug", "title", "steps", "name", "type", "command", "args", "dependencies", "depends_on"),
    *("map_over", "max_attempts", "max_lost", "retry_delay", "timeout", "start_delay", "queue"),
    *("version", "on_complete", "on_failure", "run_id", "step_slug", "task_index", "lease_token"),
    *("output", "error_message", "error_details", "retryable", "retry_after", "_", ""),
    *("if", "otherwise", "join", "after", "prefer_after", "on_error", "fallback", "tolerate"),
    *("seconds", "at", "signal", "signals", "run_timeout", "limit"),
    *("one_at_a_time", "key", "when_busy", "announce"),
    *("tasks", "id", "description", "critical", "goal", "may_use", "decomposer", "max_depth"),
]


@dataclass(frozen=True, slots=True)
class Known:
    """What is in the database: names and keys that mean something there."""

    flows: list[str]
    steps: list[str]
    queues: list[str]
    runs: list[str]
    tasks: list[dict[str, Any]]
    definitions: list[dict[str, Any]]
    workers: list[str]

    def argument(self, argument: Argument) -> Strategy:
        """A value for an argument, as text that the server casts to its type; None is null."""
        name, kind = argument.name, argument.type
        if kind == "jsonb":
            value = self._json(name).map(_dump)
            deep = st.sampled_from([10, 1000, 3000, 100_000]).map(_nested)
            return _rarely(st.none() | deep | st.just("{") | st.just('"\\u0000"'), value)
        if kind == "jsonb[]":
            values = st.lists(self._json(name).map(_dump) | st.none(), max_size=4)
            return _rarely(st.none(), values)
        if kind == "timestamp with time zone[]":
            values = st.lists(st.sampled_from(_MOMENTS) | st.none(), max_size=4)
            return _rarely(st.none(), values)
        if kind == "text[]":
            values = st.lists(self._text(name) | st.none(), max_size=4)
            return _rarely(st.none() | st.just([["a", "b"], ["c", "d"]]), values)
        scalars = {
            "text": self._text(name),
            "uuid": st.sampled_from(
                [*(self.workers if name == "worker_id" else self.runs * 3), *_UUIDS]
            ),
            "integer": st.sampled_from(_INTEGERS) | st.integers(-(2**33), 2**33).map(str),
            "bigint": st.sampled_from([*(self._tokens() * 2), *_BIGINTS]),
            "boolean": st.sampled_from(["true", "false"]),
            "interval": st.sampled_from(_INTERVALS),
            "numeric": st.sampled_from([*_INTEGERS, "0.0001", "1e-9", "1e300", "NaN", "Infinity"]),
            "timestamp with time zone": st.sampled_from(_MOMENTS),
        }
        return _rarely(st.none(), scalars[kind])

    def _tokens(self) -> list[str]:
        return [str(task["lease_token"]) for task in self.tasks]

    def _text(self, name: str) -> Strategy:
        likely = {
            "workflow_slug": self.flows,
            "step_slug": self.steps,
            "from_step": self.steps,
            "depends_on": self.steps,
            "map_over": self.steps,
            "queue": self.queues,
            "queues": self.queues,
            "status": ["started", "paused", "completed", "failed", "cancelled"],
            "step_type": ["single", "map", "loop", "sleep", "wait", "flow"],
            "signal": ["go", "stop"],
            "role": ["pg_monitor", "public"],
            "access": ["viewer", "worker", "operator", "author"],
            "schedule_slug": ["nightly", "other"],
            "cron": ["* * * * *", "30 2 * * mon-fri", "0 0 29 2 7", "0 0 31 2 *", "@daily"],
            "time_zone": ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "CET", "Etc/GMT+5"],
            "limit_name": ["api"],
            "overlap": ["skip", "allow", "queue", "cancel"],
            "setting": ["max_steps", "max_error_bytes", "test_clock", "identity"],
        }.get(name, ["a", "b"])
        return st.one_of(
            st.sampled_from(likely),
            st.sampled_from(likely),
            st.sampled_from(STRANGE),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
        )

    def _json(self, name: str) -> Strategy:
        if name in ("results", "tasks"):
            return st.lists(self._report(), max_size=6) | json_values
        if name == "definition":
            return self._definition() | json_values
        return json_values | st.lists(json_values, max_size=5)

    def _report(self) -> Strategy:
        """A report of a known task, some of its keys missing or holding anything."""
        more = {
            "output": json_values,
            "error_message": json_values,
            "retryable": st.booleans() | json_values,
            "retry_after": json_values | st.sampled_from(STRANGE),
            "error_details": json_values,
        }
        fields = {
            **dict.fromkeys(("run_id", "step_slug", "task_index", "lease_token"), json_values),
            **more,
        }
        return st.tuples(
            st.sampled_from(self.tasks),
            st.fixed_dictionaries({}, optional=more),
            _rarely(st.fixed_dictionaries({}, optional=fields), st.just({})),
            _rarely(st.sets(st.sampled_from(sorted(fields)), max_size=2), st.just(set())),
            _rarely(st.just({"lease_token": None}), st.just({})),
        ).map(lambda p: {k: v for k, v in (p[0] | p[1] | p[4] | p[2]).items() if k not in p[3]})

    def _definition(self) -> Strategy:
        """A known definition after a few changes."""
        return st.tuples(
            st.sampled_from(self.definitions),
            st.lists(
                st.tuples(st.integers(-1, 6), st.sampled_from(_KEYS), self._setting()), max_size=3
            ),
        ).map(lambda p: _changed(*p))

    def _setting(self) -> Strategy:
        return st.one_of(
            json_values,
            st.sampled_from([*STRANGE, *self.steps, *self.queues]),
            st.lists(st.sampled_from(self.steps), max_size=4),
            st.integers(-2, 5),
        )


def _rarely(rare: Strategy, usual: Strategy) -> Strategy:
    return st.integers(0, 7).flatmap(lambda n: usual if n else rare)


def _leaf() -> Strategy:
    numbers = st.sampled_from(
        [0, -1, 1.5, 1e300, -1e300, 1e-300, 10**30, 10**400, -(10**131000), 2**31, 2**63, 999999999]
    )
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 12),
        numbers,
        st.sampled_from(STRANGE),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
    )


json_values: Strategy = st.recursive(
    _leaf(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_KEYS) | st.sampled_from(STRANGE), inner, max_size=4)
    ),
    max_leaves=8,
)


def _dump(value: Any) -> str:
    return json.dumps(value)


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def _changed(definition: dict[str, Any], changes: list[tuple[int, str, Any]]) -> Any:
    """A definition with keys of it (place -1) or of its steps set to something."""
    copy = json.loads(json.dumps(definition))
    for place, key, value in changes:
        if place < 0:
            copy[key] = value
        elif isinstance(copy.get("steps"), list) and place < len(copy["steps"]):
            if isinstance(copy["steps"][place], dict):
                copy["steps"][place][key] = value
        elif isinstance(copy.get("steps"), list):
            copy["steps"].append({"name": f"new_{place}", key: value})
    return copy
