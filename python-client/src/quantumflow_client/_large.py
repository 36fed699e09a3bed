"""Large values by orjson, where it is installed: many times as fast as Python's json, and alike.

What orjson would read or write otherwise (numbers beyond 64 bits, NaN, enums, UUIDs, whatever is of
somebody's class), and what it refuses, is not done here: json does it, and says what is wrong.
"""

from __future__ import annotations

import codecs
import json
import marshal
import re
from typing import Any, Final

try:
    import orjson as orjson  # noqa: PLC0414 - a test takes it away
except ImportError:
    orjson = None  # type: ignore[assignment]

LARGE = 1_000
"""From how many bytes, or characters, on it is worth the second look."""

ELSEWHERE: Final = object()
"""Json is to read it."""

_LONG_NUMBER = re.compile("[0-9]{19}")
"""Where there may be a number that orjson makes a float of."""

_NOT_FINITE = re.compile(rb"g.{6}[\xf0-\xff][\x7f\xff]", re.DOTALL)
"""Where there may be a float, as marshal writes them, of which orjson makes null."""

_ESCAPES = "quantumflow_json"


def dumped(value: Any) -> str | None:
    """The JSON text of a value, in ASCII; None: json is to make it."""
    if orjson is None or type(value) not in (dict, list):
        return None
    try:
        # It takes what is exactly of Python's own plain types, and nothing else that orjson takes.
        marshalled = marshal.dumps(value, 2)
        if len(marshalled) < LARGE:
            return None
        text = orjson.dumps(value)
    except (TypeError, ValueError):
        return None
    if b"null" in text and _NOT_FINITE.search(marshalled):
        return None
    decoded = text.decode()
    return decoded if decoded.isascii() else decoded.encode("ascii", _ESCAPES).decode()


def loaded(text: str) -> Any:
    """The value of a JSON text; ELSEWHERE: json is to read it."""
    if orjson is None or len(text) < LARGE or _LONG_NUMBER.search(text):
        return ELSEWHERE
    try:
        return orjson.loads(text)
    except ValueError:
        return ELSEWHERE


def _escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    outside = error.object[error.start : error.end]
    return json.encoder.encode_basestring_ascii(outside)[1:-1], error.end


codecs.register_error(_ESCAPES, _escape)
