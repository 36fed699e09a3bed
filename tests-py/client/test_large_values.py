"""Large values by orjson: what it makes is what json makes, and what it may not is refused alike.

Fails when a value is read or written otherwise with orjson than without, or refused in other words.
"""

from __future__ import annotations

import datetime
import enum
import json
import math
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantumflow_client import _json, _large
from quantumflow_client.errors import UnsupportedValue

_PAD = ["x" * _large.LARGE]


class Colour(enum.Enum):
    RED = 1


class Name(str):
    """A text of somebody's class."""

    __slots__ = ()


class Point(NamedTuple):
    x: int


@dataclass
class Order:
    amount: int


def both(monkeypatch: pytest.MonkeyPatch, call: Any, *arguments: Any) -> list[Any]:
    """What comes of a call with orjson, and without: a result, or an error's text."""
    results = []
    for module in (_large.orjson, None):
        with monkeypatch.context() as patch:
            patch.setattr(_large, "orjson", module)
            try:
                results.append(call(*arguments))
            except UnsupportedValue as error:
                results.append(str(error))
    return results


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**400])
    | st.floats()
    | st.text()
    | st.sampled_from(["\0", "\ud800", "\udfff", "é", "\u2028", "\U0001f600", "null", "NaN"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_any_value_is_written_alike(value: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        ours, theirs = both(patch, _json.encode, [value, _PAD])
    assert ours.isascii()
    if theirs.startswith("["):
        assert json.loads(ours) == json.loads(theirs)
        assert type(json.loads(ours)[0]) is type(json.loads(theirs)[0])
    else:
        assert ours == theirs


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_any_text_is_read_alike(value: Any) -> None:
    text = json.dumps([value, _PAD])
    with pytest.MonkeyPatch.context() as patch:
        ours, theirs = both(patch, _json.decode, text)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    "number",
    [
        *("-0", "-0.0", "1E5", "1e400", "NaN", "1" + "0" * 400, "0." + "1" * 30, "1" * 5000),
        *("18446744073709551615", "18446744073709551616", "-9223372036854775809", "1" * 19 + ".5"),
    ],
)
def test_any_number_is_read_alike(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    ours, theirs = both(monkeypatch, _json.decode, f"[{number}, {json.dumps(_PAD)}]")
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Name("n"),
        Point(1),
        Order(1),
        uuid.UUID(int=1),
        datetime.datetime(2030, 1, 1),  # noqa: DTZ001
        OrderedDict(a=1),
        math.nan,
        -math.inf,
        [None, math.inf],
        {"a": [None, {"b": math.nan}]},
        {1: 2},
        {None: 1, True: 2},
        {Name("key"): 1},
        {1: "one", "1": "other"},
        (1, (2,)),
        b"bytes",
        bytearray(b"bytes"),
        memoryview(b"bytes"),
        {1, 2},
        1j,
        2**64,
        "\ud800",
        {"\udc00": 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_only_orjson_or_only_json_takes_is_as_without_it(
    monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    ours, theirs = both(monkeypatch, _json.encode, {"pad": _PAD, "rows": [1, value]}, "the output")
    assert ours == theirs or json.loads(ours) == json.loads(theirs)
    assert ours.startswith("the output") == theirs.startswith("the output")


def test_a_cycle_and_what_is_nested_deep_are_refused_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    cycle: dict[str, Any] = {"pad": _PAD}
    cycle["again"] = [cycle]
    deep: Any = _PAD
    for _ in range(100_000):
        deep = [deep]
    for value in (cycle, deep):
        ours, theirs = both(monkeypatch, _json.encode, value)
        assert ours == theirs
    text = "[" * 100_000 + "]" * 100_000
    ours, theirs = both(monkeypatch, _json.decode, text)
    assert ours == theirs


def test_it_is_orjson_that_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("json is not needed")

    monkeypatch.setattr(_json.encode, "_encode", refuse)
    monkeypatch.setattr(_json, "_decode", refuse)
    value = [{"id": n, "text": "é", "half": n / 2, "none": None} for n in range(100)]
    assert _json.decode(_json.encode(value)) == value
