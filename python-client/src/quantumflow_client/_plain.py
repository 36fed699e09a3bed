"""Values on their way out: what becomes of each that is no JSON, one level of it at a time.

What is here is written so that nothing is lost which `_typed` could not bring back by an
annotation: a Decimal is the number it is, a timedelta its seconds, to the last digit.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from base64 import b64encode
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, singledispatch
from pathlib import PurePath
from typing import Any
from uuid import UUID

Hook = Callable[[Any], Any]
"""Turns what has no form here into something that has one: Client(encode=...)."""

_MOST_DIGITS = 4300
"""Of a whole number that Python reads: sys.set_int_max_str_digits."""

MARK = os.urandom(12).hex()
"""Stands where a number is to be, of a JSON text that is not finished."""

_MARKED = re.compile(rf'"\\u0000{MARK}([^"]*)"')


@singledispatch
def plain(value: object) -> Any:
    """A value as JSON, or as something nearer to it: its members may be anything.

    Raises:
        TypeError: It has no such form.
    """
    kind = type(value)
    if hasattr(kind, "__pydantic_serializer__"):
        return _of_pydantic(kind, value)
    if dataclasses.is_dataclass(kind):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return _item(value)
    raise TypeError(f"Object of type {kind.__name__} is not JSON serializable")


@plain.register(date)
@plain.register(time)
def _(value: date | time) -> str:
    return value.isoformat()


@plain.register
def _(value: timedelta) -> int | str:
    seconds = _seconds(value)
    return int(seconds) if seconds == seconds.to_integral_value() else plain(seconds)


@plain.register
def _(value: Decimal) -> str:
    # No encoder writes a number that is none of its own: it gets a text, and that is made a number.
    return f"\0{MARK}{_digits(value)}"


@plain.register(UUID)
@plain.register(PurePath)
def _(value: UUID | PurePath) -> str:
    return str(value)


@plain.register
def _(value: Enum) -> Any:
    return value.value


@plain.register(bytes)
@plain.register(bytearray)
@plain.register(memoryview)
def _(value: bytes | bytearray | memoryview) -> str:
    return b64encode(value).decode()


def with_numbers(text: str) -> str:
    """A JSON text in which what `plain` made of a Decimal is a number."""
    return _MARKED.sub(r"\1", text)


def key(value: object) -> str:
    """What becomes of the key of an object.

    Raises:
        TypeError, ValueError: It has no text.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError(f"{value!r} is no number, and so no key")
        return float.__repr__(value)
    if isinstance(value, Enum):
        return key(value.value)
    if isinstance(value, Decimal):
        return _digits(value)
    if isinstance(value, timedelta):
        return str(_seconds(value))
    try:
        made = plain(value)
    except TypeError:
        made = None
    if made is None or isinstance(made, (dict, list, tuple)):
        raise TypeError(f"an object's keys are texts, which a {type(value).__name__} is not")
    return key(made)


def _seconds(value: timedelta) -> Decimal:
    return Decimal(value // timedelta(microseconds=1)).scaleb(-6).normalize()


def _digits(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is no number in JSON")
    if value.adjusted() >= _MOST_DIGITS:
        raise ValueError(f"a number of {value.adjusted() + 1} digits cannot be read again")
    return str(value)


def _of_pydantic(kind: Any, value: object) -> Any:
    """What Pydantic makes of one of its own, as it reads it again; but a Decimal is a number."""
    dump = kind.__pydantic_serializer__.to_python
    made = dump(value, mode="json", by_alias=True, round_trip=True)
    if not _may_have_decimals(kind):
        return made
    return _with_decimals(made, dump(value, mode="python", by_alias=True, round_trip=True))


@lru_cache(maxsize=1000)
def _may_have_decimals(kind: Any) -> bool:
    left = [kind.__pydantic_core_schema__]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            if part.get("type") in ("decimal", "any"):
                return True
            left.extend(part.values())
        elif isinstance(part, (list, tuple)):
            left.extend(part)
    return False


def _with_decimals(made: Any, before: Any) -> Any:
    """What Pydantic made of a value, with the Decimals of which it made texts."""
    if isinstance(before, Decimal):
        return before if made == str(before) else made
    if isinstance(made, dict) and isinstance(before, dict) and len(made) == len(before):
        pairs = zip(made.items(), before.values(), strict=True)
        return {name: _with_decimals(each, was) for (name, each), was in pairs}
    is_array = isinstance(before, (list, tuple, set, frozenset))
    if isinstance(made, list) and is_array and len(made) == len(before):
        return [_with_decimals(each, was) for each, was in zip(made, before, strict=True)]
    return made


def _item(value: Any) -> Any:
    """A NumPy scalar as one of Python's own, if there is one that is the same."""
    made = value.item()
    is_time = value.dtype.kind in "mM"
    if made is value or made is None or (is_time and isinstance(made, int)):
        raise TypeError(f"{value!r} is no value that Python has")
    return made
