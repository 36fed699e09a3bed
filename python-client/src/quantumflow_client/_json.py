"""JSON on its way to and from jsonb: encoded and decoded where a failure concerns one value only.

What Python's json refuses is an `UnsupportedValue` that says why. What only PostgreSQL refuses (NUL
characters, lone surrogates) is left to PostgreSQL: the client restates no rule of the database.
Large values go by orjson where it is installed (see `_large`), which changes nothing but the time.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ._large import ELSEWHERE, dumped, loaded
from .errors import UnsupportedValue

Json = Any
"""A value that json can encode, or did decode."""

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""Characters that no text of PostgreSQL has."""

quoted = json.encoder.encode_basestring_ascii
"""The JSON text of a str."""


def encode(value: Json, what: str = "the value") -> str:
    """The JSON text of a value.

    Args:
        value: The value.
        what: What to call it in an error.

    Raises:
        UnsupportedValue: It has none: NaN or infinity, a number too long, a cycle, an object that
            is no JSON. The message says where in the value that is.
    """
    try:
        text = dumped(value)
        return _encode(value) if text is None else text
    except (TypeError, ValueError, RecursionError) as error:
        where = "" if isinstance(error, RecursionError) else _place(value)
        at = f" at {where}" if where else ""
        raise UnsupportedValue(f"{what} cannot be stored as JSON{at}: {_reason(error)}") from error


def decode(text: str, what: str = "the value") -> Json:
    """The value of a JSON text.

    Raises:
        UnsupportedValue: Python cannot hold it: a number too long, or nested too deep.
    """
    try:
        value = loaded(text)
        return _decode(text) if value is ELSEWHERE else value
    except (ValueError, RecursionError) as error:
        raise UnsupportedValue(f"{what} cannot be read by Python: {_reason(error)}") from error


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]}... is too large for a float")
    return number


# json.dumps and json.loads would make these anew for each value.
_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_decode = json.JSONDecoder(parse_float=_finite).decode


_DEEPEST = 50
"""How many steps into a value an error names."""


def _place(value: Json) -> str:
    """Where in a value the first thing is that json refuses, as in ["rows"][3]["when"].

    Empty for the value itself, and where that cannot be told.
    """
    place, above = "", {id(value)}
    try:
        while (found := _refused_in(value)) is not None:
            name, value = found
            place += f"[{_encode(name)[:80]}]"
            if len(above) == _DEEPEST:
                return f"{place}..."
            if id(value) in above:
                return place
            above.add(id(value))
    except Exception:  # what is looked into may be an object of users' own classes
        return ""
    return place


def _refused_in(value: Json) -> tuple[Json, Json] | None:
    """The first member of an object or array that json refuses, by its name or index."""
    if not isinstance(value, (dict, list, tuple)):
        return None
    for name, member in value.items() if isinstance(value, dict) else enumerate(value):
        try:
            _encode(member)
        except Exception:  # noqa: PERF203 - which one it is, is the question
            return name, member
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return str(error)


def plain(text: str) -> str:
    """A text in ASCII, which any database can hold: what is not in it is written as in Python."""
    return text.encode("ascii", "backslashreplace").decode()


def clean(text: str, limit: int) -> str:
    """A text that PostgreSQL can hold, of at most `limit` characters: start and end are kept."""
    if len(text) > limit:
        half = (limit - 40) // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
