"""JSON on its way to and from jsonb: encoded and decoded where a failure concerns one value only.

What Python's json refuses is an `UnsupportedValue` that says why. What only PostgreSQL refuses (NUL
characters, lone surrogates) is left to PostgreSQL: the client restates no rule of the database.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

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
            is no JSON.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedValue(f"{what} cannot be stored as JSON: {_reason(error)}") from error


def decode(text: str, what: str = "the value") -> Json:
    """The value of a JSON text.

    Raises:
        UnsupportedValue: Python cannot hold it: a number too long, or nested too deep.
    """
    try:
        return _decode(text)
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
